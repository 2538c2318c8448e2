"""Checks that count themselves: symbolic equality, numeric equality, and found facts.

Every equality also names a *near miss*: a wrong form (sign, factor 2, transposition, order) that must
fail the same test. A check that would have let the near miss pass proves nothing, so it raises.
"""

from __future__ import annotations

from typing import Any


class CheckFailed(AssertionError):
    """A statement of the page does not hold; the message says which and where the two sides differ."""


class Checks:
    """The counter behind ``check``. Re-running a cell counts its check once."""

    def __init__(self) -> None:
        self._passed: dict[str, str] = {}

    def reset(self) -> None:
        """Forget what has been counted; :func:`nbhelpers.setup` calls this."""
        self._passed.clear()

    @property
    def count(self) -> int:
        """Number of different checks that have passed since the set-up."""
        return len(self._passed)

    def equal(self, name: str, left: Any, right: Any, *, near_miss: Any) -> None:
        """Check that two SymPy expressions, matrices or matrix expressions are equal.

        Parameters
        ----------
        name: what is checked, with the equation's number if it has one, such as ``"(3) gain"``.
        left, right: numbers, SymPy expressions, explicit matrices of equal shape, or matrix expressions.
        near_miss: a wrong right-hand side, which must differ from ``left``.

        Raises
        ------
        CheckFailed
            If they differ (the message gives the first differing entry), or if the near miss passes too.
        """
        difference = _symbolic_difference(left, right)
        if difference is not None:
            raise CheckFailed(f"{name}: the two sides differ{difference}")
        if _symbolic_difference(left, near_miss) is None:
            raise CheckFailed(f"{name}: the near miss equals the left side too, so this check proves nothing.")
        self._pass(name, "equal")

    def close(
        self, name: str, actual: Any, expected: Any, *, near_miss: Any, rtol: float = 1e-9, atol: float = 1e-12
    ) -> None:
        """Check that numbers, NumPy arrays or tensors agree: ``|actual - expected| <= atol + rtol |expected|``.

        Raises
        ------
        CheckFailed
            If shapes or values differ (the message gives the largest gap and its place), or if the near
            miss is as close.
        """
        difference = _numeric_difference(actual, expected, rtol, atol)
        if difference is not None:
            raise CheckFailed(f"{name}: {difference}")
        if _numeric_difference(actual, near_miss, rtol, atol) is None:
            raise CheckFailed(f"{name}: the near miss is as close, so this check proves nothing.")
        self._pass(name, "agrees")

    def true(self, name: str, condition: Any, found: str = "") -> None:
        """Check a fact that is not an equality, such as an order or a bound; ``found`` says what was measured."""
        if not bool(condition):
            raise CheckFailed(f"{name}: does not hold. {found}".rstrip())
        self._pass(name, found or "holds")

    def summary(self, expected: int) -> None:
        """Close the page: print how many checks have run, and fail if fewer than ``expected``."""
        if self.count < expected:
            raise CheckFailed(
                f"Only {self.count} of {expected} checks have run. Run the page from top to bottom and try again."
            )
        print(f"{self.count} checks have run on this page, and all of them passed.")

    def _pass(self, name: str, how: str) -> None:
        self._passed[name] = how
        print(f"✓ {name}: {how}")


def _symbolic_difference(left: Any, right: Any) -> str | None:
    """Return None where the two are equal, else a phrase that says where and how they differ."""
    import sympy

    left, right = sympy.sympify(left), sympy.sympify(right)
    shapes = getattr(left, "shape", ()), getattr(right, "shape", ())
    if tuple(shapes[0]) != tuple(shapes[1]):
        return f" in shape: {shapes[0]} against {shapes[1]}."
    if isinstance(left, sympy.MatrixBase) or isinstance(right, sympy.MatrixBase):
        left, right = sympy.Matrix(left), sympy.Matrix(right)
        for row in range(left.rows):
            for column in range(left.cols):
                if not _is_zero(left[row, column] - right[row, column]):
                    return f" at [{row}, {column}]: {left[row, column]} against {right[row, column]}."
        return None
    if shapes[0]:  # matrix expressions of symbolic size
        gap = sympy.expand(sympy.expand(left - right).doit())
        return None if gap.doit().is_ZeroMatrix else f" by {gap}."
    gap = left - right
    return None if _is_zero(gap) else f" by {sympy.simplify(gap)}."


def _is_zero(expression: Any) -> bool:
    import sympy

    if expression == 0 or sympy.expand(expression) == 0:
        return True
    return sympy.simplify(expression) == 0


def _numeric_difference(actual: Any, expected: Any, rtol: float, atol: float) -> str | None:
    import numpy

    actual, expected = _array(actual), _array(expected)
    if actual.shape != expected.shape:
        turned = actual.T.shape == expected.shape
        return f"shape {actual.shape}, expected {expected.shape}" + (" (it fits transposed)." if turned else ".")
    gap = numpy.abs(actual - expected)
    if gap.size and not numpy.all(gap <= atol + rtol * numpy.abs(expected)):
        place = numpy.unravel_index(numpy.nanargmax(numpy.where(numpy.isnan(gap), numpy.inf, gap)), gap.shape)
        at = f" at {tuple(int(i) for i in place)}" if place else ""
        return f"largest gap {gap[place]:.3g}{at}: {actual[place]:.6g}, expected {expected[place]:.6g}."
    return None


def _array(value: Any):
    import numpy

    if hasattr(value, "detach"):
        value = value.detach().cpu().double()
    return numpy.asarray(value, dtype=float)


check = Checks()
