"""Floor 4: sequence mixers and the continuum memory system as ``torch.nn.Module``.

``mixer`` says what all mixers agree on; each of the other files holds one idea.
"""

from nbhelpers.layers.attention import Attention
from nbhelpers.layers.cms import VARIANTS, ContinuumMemory, LevelSpec
from nbhelpers.layers.convolution import ShortConvolution
from nbhelpers.layers.mixer import Mixer
from nbhelpers.layers.mlp import GatedMLP
from nbhelpers.layers.recurrent import DeltaNet, GatedDeltaNet, LinearAttention, Mamba2
from nbhelpers.layers.self_modifying import SelfModifyingTitans
from nbhelpers.layers.titans import Titans
from nbhelpers.layers.trace import trace
from nbhelpers.layers.wirings import MemoryAsContext, MemoryAsGate, MemoryAsLayer

__all__ = [
    "VARIANTS",
    "Attention",
    "ContinuumMemory",
    "DeltaNet",
    "GatedDeltaNet",
    "GatedMLP",
    "LevelSpec",
    "LinearAttention",
    "Mamba2",
    "MemoryAsContext",
    "MemoryAsGate",
    "MemoryAsLayer",
    "Mixer",
    "SelfModifyingTitans",
    "ShortConvolution",
    "Titans",
    "trace",
]
