"""Floor 7: properties of the book's parts as functions that you can run on a part of your own."""

from nbhelpers.testing.optimizers import PropertyFailed, check_optimizer

__all__ = ["PropertyFailed", "check_optimizer"]
