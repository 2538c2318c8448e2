"""Floor 7: properties of the book's parts as functions that you can run on a part of your own."""

from nbhelpers.testing.mixers import check_mixer
from nbhelpers.testing.optimizers import check_optimizer
from nbhelpers.testing.property import PropertyFailed
from nbhelpers.testing.rules import check_rule

__all__ = ["PropertyFailed", "check_mixer", "check_optimizer", "check_rule"]
