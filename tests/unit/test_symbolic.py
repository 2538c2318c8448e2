"""Matrix calculus: gradients by matrix symbols agree with entry-by-entry derivatives and with autograd."""

import pytest
import sympy as sp
import torch

from nbhelpers.symbolic import gradient, inner, squared_norm

M, N = sp.symbols("m n", integer=True, positive=True)
ETA = sp.Symbol("eta", positive=True)


def symbols(rows, columns):
    W, V = sp.MatrixSymbol("W", rows, columns), sp.MatrixSymbol("V", rows, columns)
    return W, V, sp.MatrixSymbol("x", columns, 1), sp.MatrixSymbol("u", rows, 1)


def objectives(W, V, x, u):
    return {
        "linear": inner(u, W * x),
        "proximal": inner(W * x, u) + squared_norm(W - V) / (2 * ETA),
        "squared error": squared_norm(W * x - u) / 2 + squared_norm(W - V) / (2 * ETA) + 7,
    }


def explicit(expression):
    """Write out every trace of an expression of concrete size."""
    return sp.expand(expression.replace(sp.Trace, lambda a: sp.Matrix(a.as_explicit()).trace()))


def test_inner_and_norm_are_sums_of_products():
    W, V, *_ = symbols(2, 3)
    pairs = list(zip(W.as_explicit(), V.as_explicit(), strict=True))
    assert explicit(inner(W, V)) == sum(a * b for a, b in pairs)
    assert explicit(squared_norm(W)) == sum(a**2 for a, _ in pairs)
    assert explicit(inner(W, V)) != sum(a * a for a, _ in pairs)


def test_inner_refuses_other_shapes():
    W, _, x, _ = symbols(2, 3)
    with pytest.raises(ValueError, match="one shape"):
        inner(W, x)


@pytest.mark.parametrize("name", ["linear", "proximal", "squared error"])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2)])
def test_gradient_equals_entrywise_derivatives(name, shape):
    W, V, x, u = symbols(*shape)
    objective = objectives(W, V, x, u)[name]
    found = sp.Matrix(gradient(objective, W).as_explicit())
    scalar, entries = explicit(objective), W.as_explicit()
    expected = sp.Matrix(*shape, lambda i, j: scalar.diff(entries[i, j]))
    assert (found - expected).expand() == sp.zeros(*shape)


@pytest.mark.parametrize("name", ["linear", "proximal", "squared error"])
def test_gradient_equals_autograd(name):
    rows, columns = 3, 4
    W, V, x, u = symbols(rows, columns)
    function = sp.lambdify((W, V, x, u, ETA), gradient(objectives(W, V, x, u)[name], W), "numpy")
    generator = torch.Generator().manual_seed(0)
    w, v, a, b = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in [(rows, columns), (rows, columns), (columns, 1), (rows, 1)]
    )
    w.requires_grad_()
    loss = {
        "linear": (b * (w @ a)).sum(),
        "proximal": (b * (w @ a)).sum() + ((w - v) ** 2).sum() / 0.6,
        "squared error": ((w @ a - b) ** 2).sum() / 2 + ((w - v) ** 2).sum() / 0.6,
    }[name]
    (expected,) = torch.autograd.grad(loss, w)
    found = function(w.detach().numpy(), v.numpy(), a.numpy(), b.numpy(), 0.3)
    torch.testing.assert_close(torch.as_tensor(found), expected, rtol=1e-12, atol=1e-12)


def test_gradient_with_symbolic_sizes():
    W, V, x, u = symbols(M, N)
    found = gradient(objectives(W, V, x, u)["proximal"], W)
    assert sp.expand(found - (u * x.T + (W - V) / ETA)).doit().is_ZeroMatrix
    assert not sp.expand(found - (u * x.T - (W - V) / ETA)).doit().is_ZeroMatrix
    assert gradient(squared_norm(V), W).is_ZeroMatrix


def test_the_trap_that_gradient_exists_for():
    """Should this fail, SymPy has learned to differentiate sums of traces and the helper can become one line."""
    W, V, x, u = symbols(M, N)
    objective = objectives(W, V, x, u)["proximal"]
    assert str(objective.diff(W)) == "0"
    assert str(gradient(objective, W)) != "0"


def test_gradient_refuses_what_it_cannot_do():
    W, _, x, u = symbols(M, N)
    with pytest.raises(TypeError, match="MatrixSymbol"):
        gradient(squared_norm(W), sp.Symbol("w"))
    with pytest.raises(ValueError, match="one inner product"):
        gradient(inner(u, W * x) * squared_norm(W), W)
    with pytest.raises(ValueError, match="one inner product"):
        gradient(sp.exp(squared_norm(W)), W)
