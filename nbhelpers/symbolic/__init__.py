"""Matrix calculus with SymPy: the little that chapters need and SymPy does not do alone."""

from nbhelpers.symbolic.calculus import gradient, inner, squared_norm

__all__ = ["gradient", "inner", "squared_norm"]
