"""Exercises of *A language model in one sitting*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import NotAttempted, call, register

CHAPTER = "a-language-model-in-one-sitting"


# 1. Which one is better?

register(
    name=f"{CHAPTER}/better",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "A pays less for a token and has twice as many of them. Divide by the bytes.",
            "c": "A large vocabulary makes tokens harder to guess; that is in the loss already. Divide by the bytes.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "twice as many"), ("c", "in the loss already"), ("B and A", "one letter")),
)

# 2. A step that is cut off

register(
    name=f"{CHAPTER}/constant",
    kind="recall",
    stars=1,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "Only g is cut. The first w of w - eta g is still in the graph.",
            "b": "The second derivatives come from the derivative of g by w, and g is a constant here.",
        },
    ),
    reference="c",
    also_right=("C",),
    wrong=(("a", "Only g is cut"), ("b", "g is a constant")),
)

# 3. The size of the file

_n, _loss = sp.symbols("n loss", positive=True)
_file = _n * _loss / (8 * sp.log(2))


def _check_file(answer: Any) -> str | None:
    mistakes = {
        "Those are bits. A byte has eight.": _n * _loss / sp.log(2),
        "Those are nats; a bit is ln 2 of them.": _n * _loss / 8,
        "A nat is more than a bit, not less: divide by ln 2.": _n * _loss * sp.log(2) / 8,
    }
    if getattr(answer, "free_symbols", None) and "b" in {symbol.name for symbol in answer.free_symbols}:
        return "The size of the file does not depend on how the text is cut: b is not needed."
    return explain(answer, _file, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/file",
    kind="derive",
    stars=1,
    minutes=4,
    checker=_check_file,
    reference=_file,
    also_right=("n*loss/log(2)/8", _n * _loss / sp.log(256)),
    wrong=(
        (_n * _loss / sp.log(2), "Those are bits"),
        (_n * _loss / 8, "Those are nats"),
        (_n * _loss * sp.log(2) / 8, "divide by ln 2"),
        (_n * _loss / (8 * sp.log(2) * sp.Symbol("b", positive=True)), "b is not needed"),
    ),
)

# 4. Through two steps

_w, _h, _eta = sp.symbols("w h eta", positive=True)
_left = 1 - _eta * _h
_twice = -2 * _h**2 * _w**2 * _left**3


def _check_twice(answer: Any) -> str | None:
    mistakes = {
        "That treats the first step as a constant. The rate stands in both.": _twice / 2,
        "That is for one step.": -(_h**2) * _w**2 * _left,
        "That is the derivative of w'' itself; the loss is squared.": -2 * _h * _w * _left,
        "That is f(w''), not yet its derivative.": _h * _w**2 * _left**4 / 2,
    }
    return explain(answer, _twice, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/twice",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_twice,
    reference=_twice,
    also_right=((_h * (_left**2 * _w) ** 2 / 2).diff(_eta), "-2*h**2*w**2*(1 - eta*h)**3"),
    wrong=(
        (_twice / 2, "first step as a constant"),
        (-(_h**2) * _w**2 * _left, "for one step"),
        (-2 * _h * _w * _left, "w'' itself"),
        (-_twice, "sign"),
    ),
)

# 5. A window


def _window(length, window):
    distance = np.arange(length)[:, None] - np.arange(length)
    return (distance >= 0) & (distance < window)


def _window_by_triangles(length, window):
    import torch

    whole = torch.ones(length, length).bool()
    return whole.tril() & whole.triu(1 - window)


def _check_window(function: Callable) -> str | None:
    for length, window in ((6, 3), (5, 1), (4, 9)):
        answer = call(function, length, window)
        distance = np.arange(length)[:, None] - np.arange(length)
        mistakes = {
            "Row t is the token that looks, column s the place that it looks at.": _window(length, window).T,
            "One place too many: its own place counts.": (distance >= 0) & (distance <= window),
            "Its own place is missing.": (distance > 0) & (distance <= window),
            "This looks into the future.": distance < window,
            "This looks as far ahead as back.": np.abs(distance) < window,
            "This is the mask with no window.": distance >= 0,
            "True is where a token may look, not where it may not.": ~_window(length, window),
        }
        complaint = explain(answer, _window(length, window), mistakes)
        if complaint:
            return complaint
        if "bool" not in str(getattr(answer, "dtype", np.asarray(answer).dtype)):
            return "A mask holds True and False. Yours holds numbers, which PyTorch would take for something else."
    return None


register(
    name=f"{CHAPTER}/window",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_window,
    reference=_window,
    also_right=(_window_by_triangles,),
    wrong=(
        (lambda length, window: _window(length, window).T, "Row t"),
        (lambda length, window: _window(length, window + 1), "One place too many"),
        (lambda length, window: _window(length, length), "no window"),
        (lambda length, window: np.triu(np.ones((length, length)), 1 - window).astype(bool), "future"),
        (lambda length, window: ~_window(length, window), "may not"),
        (lambda length, window: _window(length, window)[0], "shape"),
        (lambda length, window: _window(length, window).astype(int), "True and False"),
    ),
)

# 6. An optimizer of your own


def _descents() -> dict[str, type]:
    """The reference optimizer and its typical mistakes, by name."""
    import torch

    class Base(torch.optim.Optimizer):
        def __init__(self, params, lr, momentum_decay):
            super().__init__(params, {"lr": lr, "momentum_decay": momentum_decay})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self.move(p, self.state[p], group["lr"], group["momentum_decay"])

    class Right(Base):
        def move(self, p, state, lr, decay):
            state["b"] = decay * state.get("b", 0) + p.grad
            p.sub_(lr * state["b"])

    class Averaged(Base):
        def move(self, p, state, lr, decay):
            state["b"] = decay * state.get("b", 0) + (1 - decay) * p.grad
            p.sub_(lr * state["b"])

    class Forgetful(Base):
        def move(self, p, state, lr, decay):
            p.sub_(lr * p.grad)

    class Own(Base):
        def move(self, p, state, lr, decay):
            state["b"] = decay * state.get("b", 0) - lr * p.grad
            p.add_(state["b"])

    class OneMemory(Base):
        def move(self, p, state, lr, decay):
            self.b = decay * getattr(self, "b", 0) + p.grad
            p.sub_(lr * self.b)

    class Uphill(Base):
        def move(self, p, state, lr, decay):
            state["b"] = decay * state.get("b", 0) + p.grad
            p.add_(lr * state["b"])

    class FirstGroup(Right):
        def move(self, p, state, lr, decay):
            super().move(p, state, self.param_groups[0]["lr"], decay)

    class FirstDecay(Right):
        def move(self, p, state, lr, decay):
            super().move(p, state, lr, self.param_groups[0]["momentum_decay"])

    class Elsewhere(Base):
        def move(self, p, state, lr, decay):
            state["b"] = decay * state.get("b", 0) + p.grad
            p = p - lr * state["b"]

    class NoCopy(Base):
        def move(self, p, state, lr, decay):
            state.setdefault("b", p.grad).mul_(decay).add_(p.grad)
            p.sub_(lr * state["b"])

    class Overwritten(Base):
        def move(self, p, state, lr, decay):
            p.grad.add_(decay * state.get("b", 0))
            state["b"] = p.grad.clone()
            p.sub_(lr * state["b"])

    class DotsLeft(Right):
        def step(self):
            super().step()
            return ...

    found = (
        *(Right, Averaged, Forgetful, Own, OneMemory, Uphill, FirstGroup, FirstDecay),
        *(Elsewhere, NoCopy, Overwritten, DotsLeft),
    )
    return {kind.__name__: kind for kind in found}


class _Lazily:
    """An optimizer of :func:`_descents` by name: torch is imported at first use, not with the exercises."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return _descents()[self.name](*arguments, **keywords)


def _six_steps(kind: Callable) -> tuple[np.ndarray, bool]:
    """Where three parameters in two groups are after six steps on a bowl; whether a gradient was changed.

    The third parameter never has a gradient. Gradients are cleared in place, so that one kept without a copy shows.
    """
    import torch

    a, b, c = (torch.tensor([x, -x], dtype=torch.float64, requires_grad=True) for x in (1.0, 2.0, 3.0))
    groups = [{"params": [a, c]}, {"params": [b], "lr": 0.02, "momentum_decay": 0.5}]
    tool = call(kind, groups, lr=0.1, momentum_decay=0.8)
    changed = False
    for step in range(6):
        if step == 4:  # halved, so that it shows whether today's rate applies to old gradients
            for group in tool.param_groups:
                group["lr"] /= 2
        tool.zero_grad(set_to_none=False)
        (2 * a.square().sum() + b.square().sum()).backward()
        before = [p.detach().clone() for p in (a, b, a.grad, b.grad)]
        answer = tool.step()
        if answer is ... and all(torch.equal(p, old) for p, old in zip((a, b), before[:2], strict=True)):
            raise NotAttempted
        changed |= not all(torch.equal(p.grad, old) for p, old in zip((a, b), before[2:], strict=True))
    return torch.cat([a, b, c]).detach().numpy(), changed


def _check_momentum(kind: Callable) -> str | None:
    (answer, changed), kinds = _six_steps(kind), _descents()
    if changed:
        return "step() changes p.grad, or keeps it without a copy and then changes that. Leave p.grad as it was."
    mistakes = {
        "The gradient enters b whole, not by the share 1 - mu.": "Averaged",
        "Nothing is remembered from step to step.": "Forgetful",
        "b holds bare gradients; the rate belongs into the second formula. A changed rate shows the difference.": "Own",
        "All parameters share one b. Each has its own in self.state[p].": "OneMemory",
        "This goes uphill.": "Uphill",
        'Every group has a rate of its own, group["lr"].': "FirstGroup",
        'Every group has a decay of its own, group["momentum_decay"].': "FirstDecay",
        "No parameter moved. p = p - … makes a new tensor; change p in place.": "Elsewhere",
    }
    found = {message: _six_steps(kinds[name])[0] for message, name in mistakes.items()}
    return explain(answer, _six_steps(kinds["Right"])[0], found)


def _torch_sgd(params, lr, momentum_decay):
    import torch

    groups = [{**group, "momentum": group.get("momentum_decay", momentum_decay)} for group in params]
    return torch.optim.SGD(groups, lr=lr)


register(
    name=f"{CHAPTER}/momentum",
    kind="build",
    stars=2,
    minutes=12,
    checker=_check_momentum,
    reference=_Lazily("Right"),
    also_right=(_torch_sgd, _Lazily("DotsLeft")),
    wrong=(
        (_Lazily("Averaged"), "share 1 - mu"),
        (_Lazily("Forgetful"), "Nothing is remembered"),
        (_Lazily("Own"), "bare gradients"),
        (_Lazily("OneMemory"), "share one b"),
        (_Lazily("Uphill"), "uphill"),
        (_Lazily("FirstGroup"), "rate of its own"),
        (_Lazily("FirstDecay"), "decay of its own"),
        (_Lazily("Elsewhere"), "No parameter moved"),
        (_Lazily("NoCopy"), "Leave p.grad"),
        (_Lazily("Overwritten"), "Leave p.grad"),
    ),
)

# 7. A rate that finds itself

CURVATURES = np.array([1.0, 4.0, 16.0])


def left_over(rate: Any, steps: int) -> Any:
    """The value of the bowl after some steps of descent with this rate (any shape), from (1, 1, 1)."""
    return (CURVATURES * (1 - np.asarray(rate)[..., None] * CURVATURES) ** (2 * steps)).sum(-1) / 2


def best_rate(steps: int) -> float:
    """The rate that leaves least, to five digits."""
    rates = np.linspace(0.0, 0.2, 200_001)
    return float(rates[left_over(rates, steps).argmin()])


def _check_rate(answer: Any) -> str | None:
    try:
        given = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return "Expected two numbers: the rate after one step and the rate after ten."
    if given.shape != (2,):
        return "Expected two numbers: the rate after one step and the rate after ten."
    best = best_rate(1), best_rate(10)
    if np.allclose(given, best[::-1], rtol=0.01):
        return "The two have changed places: after one step comes first."
    for rate, right, steps in zip(given, best, (1, 10), strict=True):
        if not np.isclose(rate, right, rtol=0.01):
            way = "larger" if rate < right else "smaller"
            return f"For {steps} step(s) {rate:.4g} leaves {left_over(rate, steps):.4g}; a {way} rate leaves less."
    return None


register(
    name=f"{CHAPTER}/rate",
    kind="explore",
    stars=3,
    minutes=15,
    checker=_check_rate,
    reference=(273 / 4161, 0.1043),
    also_right=(np.array([0.0656, 0.1043]),),
    wrong=(
        ((0.1043, 0.0656), "changed places"),
        ((0.0656, 0.0656), "a larger rate leaves less"),
        ((0.11, 0.1043), "a smaller rate leaves less"),
        (0.1, "two numbers"),
    ),
)
