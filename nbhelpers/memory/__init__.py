"""Floor 2: associative memories from four pieces: a memory, an objective, a rule, a clock.

``associative`` puts them together, ``instances`` builds the known layers and optimizers from them. These are written
to be read and played with, one token at a time; the fast forms are in ``nbhelpers.ops`` and give the same numbers.
"""

from nbhelpers.memory import instances
from nbhelpers.memory.associative import AssociativeMemory, Held
from nbhelpers.memory.clock import Clock
from nbhelpers.memory.memories import MatrixMemory, ResidualMLP
from nbhelpers.memory.objectives import dot_product, squared_error
from nbhelpers.memory.rules import decay_first, erase, gradient, momentum, proximal, retention, rule

__all__ = [
    "AssociativeMemory",
    "Clock",
    "Held",
    "MatrixMemory",
    "ResidualMLP",
    "decay_first",
    "dot_product",
    "erase",
    "gradient",
    "instances",
    "momentum",
    "proximal",
    "retention",
    "rule",
    "squared_error",
]
