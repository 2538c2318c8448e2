"""Inner products, norms and gradients of matrix expressions whose sizes may be symbols."""

from __future__ import annotations

from sympy import Add, Expr, MatrixSymbol, Mul, S, Trace, ZeroMatrix, expand
from sympy.matrices.expressions.matexpr import MatrixExpr


def inner(left: MatrixExpr, right: MatrixExpr) -> Expr:
    """Return the inner product of two matrices of equal shape, the sum of the products of their entries.

    Parameters
    ----------
    left, right: matrix expressions of one shape, concrete or symbolic.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if tuple(left.shape) != tuple(right.shape):
        raise ValueError(f"An inner product needs two matrices of one shape, got {left.shape} and {right.shape}.")
    return Trace(left.T * right)


def squared_norm(matrix: MatrixExpr) -> Expr:
    """Return the squared Frobenius norm, the sum of the squares of all entries of ``matrix``."""
    return inner(matrix, matrix)


def gradient(objective: Expr, variable: MatrixSymbol) -> MatrixExpr:
    """Return the gradient of a scalar with respect to a matrix, in the matrix's own shape.

    SymPy differentiates a single trace by a matrix; for a sum of traces ``objective.diff(variable)`` returns
    0 without a warning (seen with SymPy 1.14). Here each term is taken by itself.

    Parameters
    ----------
    objective: a sum of terms, each free of ``variable`` or a number or symbol times one trace (what
        :func:`inner` and :func:`squared_norm` give).
    variable: a ``MatrixSymbol``, sizes concrete or symbolic.

    Raises
    ------
    TypeError
        If ``variable`` is no ``MatrixSymbol``.
    ValueError
        If ``variable`` occurs in a term that is not a factor times one trace.
    """
    if not isinstance(variable, MatrixSymbol):
        raise TypeError(f"gradient() needs a MatrixSymbol, got {type(variable).__name__}.")
    total = ZeroMatrix(*variable.shape)
    for term in Add.make_args(expand(objective)):
        if not term.has(variable):
            continue
        factors = Mul.make_args(term)
        traces = [factor for factor in factors if factor.has(variable)]
        if len(traces) != 1 or not isinstance(traces[0], Trace):
            raise ValueError(f"Cannot take the gradient of {term}: write it as a factor times one inner product.")
        coefficient = Mul(*[factor for factor in factors if factor is not traces[0]], S.One)
        total = total + coefficient * traces[0].diff(variable)
    return total
