"""Floor 3: recurrences of memories, each as a plain loop (``*_sequential``) and chunk-parallel, with one signature.

Start at ``conventions`` for shapes and state, at ``chunk`` for the one kernel behind all matrix memories.
"""

from nbhelpers.ops.conventions import READS, matrix_state
from nbhelpers.ops.delta import delta_rule, delta_rule_sequential, gated_delta_rule, gated_delta_rule_sequential
from nbhelpers.ops.linear import linear_attention, linear_attention_sequential, mamba2, mamba2_sequential
from nbhelpers.ops.mlp import (
    mlp_recall,
    mlp_state,
    self_modifying_mlp,
    self_modifying_mlp_sequential,
    titans_mlp,
    titans_mlp_sequential,
)
from nbhelpers.ops.self_modifying import self_modifying, self_modifying_sequential
from nbhelpers.ops.stability import chunk_factor, largest_learning_rate
from nbhelpers.ops.titans import titans, titans_sequential

__all__ = [
    "READS",
    "chunk_factor",
    "delta_rule",
    "delta_rule_sequential",
    "gated_delta_rule",
    "gated_delta_rule_sequential",
    "largest_learning_rate",
    "linear_attention",
    "linear_attention_sequential",
    "mamba2",
    "mamba2_sequential",
    "matrix_state",
    "mlp_recall",
    "mlp_state",
    "self_modifying",
    "self_modifying_mlp",
    "self_modifying_mlp_sequential",
    "self_modifying_sequential",
    "titans",
    "titans_mlp",
    "titans_mlp_sequential",
    "titans_sequential",
]
