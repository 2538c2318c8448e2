"""Properties that any optimizer of this book holds, as a function to run on one of your own."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nbhelpers.testing.property import chosen, fail

Factory = Callable[[Any], Optimizer]
STEPS = 7  # long enough to cross a period of 2, 3 or 5 and stop inside it


def check_optimizer(factory: Factory, *, takes: str = "parameters", without: tuple[str, ...] = ()) -> list[str]:
    """Run every property below on the optimizer that ``factory`` builds, and return the names of those that held.

    =============  ====================================================================================================
    moves          a few steps change every parameter, leave it finite, and leave ``.grad`` as it was
    closure        ``step(closure)`` evaluates the closure once, with gradients on, returns its loss and acts the same
    state_dict     the state is dense tensors with storage of their own (so that safetensors can hold them), and what a
                   fresh optimizer loads it gives back
    resume         stopped after any number of steps, saved, loaded and continued, it ends at the same bits
    maximize       with ``maximize=True`` in a group and the loss negated, it ends at the same bits
    groups         two groups with learning rates of their own act like two optimizers
    zero_gradient  steps with gradients of 0, first or later, leave every parameter finite
    no_gradient    a parameter whose ``.grad`` is None stays as it is while others move
    shapes         scalars, vectors, matrices, three and four axes, odd memory layouts ("parameters" only)
    =============  ====================================================================================================

    Parameters
    ----------
    factory: builds the optimizer from what ``torch.optim.SGD`` takes first (parameters, or groups with ``"params"``),
        such as ``lambda params: MyOptimizer(params, lr=0.1)``.
    takes: "parameters", or "modules" for an optimizer such as DGD that takes a module, or groups with ``"modules"``.
    without: names of properties to leave out, such as ``("maximize",)`` for an optimizer that has none.

    Raises
    ------
    PropertyFailed
        At the first property that does not hold.
    ValueError
        If ``takes`` or a name in ``without`` is unknown.
    """
    if takes not in ("parameters", "modules"):
        raise ValueError(f'takes is {takes!r}; it must be "parameters" or "modules".')
    properties = dict(PROPERTIES)
    if takes == "modules":
        del properties["shapes"]
    held = list(chosen(properties, without))
    for name in held:
        properties[name](Trial(factory, takes))
    return held


class Trial:
    """One factory on one small problem: a network of two linear layers with biases, in double precision."""

    def __init__(self, factory: Factory, takes: str) -> None:
        self.factory, self.takes = factory, takes
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(STEPS, 6, 5, generator=generator, dtype=torch.float64)
        self.targets = torch.randn(STEPS, 6, 3, generator=generator, dtype=torch.float64)

    def network(self) -> nn.Sequential:
        """Return the network at its start, the same at each call."""
        net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        generator = torch.Generator().manual_seed(1)
        for p in net.parameters():
            p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64) / 2
        return net

    def build(self, net: nn.Module, **options: Any) -> Optimizer:
        """Build the optimizer on a whole network; options go into its one group."""
        key, value = ("params", list(net.parameters())) if self.takes == "parameters" else ("modules", net)
        return self.factory([{key: value, **options}] if options else value)

    def build_groups(self, parts: list[tuple[nn.Module, dict[str, Any]]]) -> Optimizer:
        """Build the optimizer with one group a part."""
        if self.takes == "parameters":
            return self.factory([{"params": list(part.parameters()), **options} for part, options in parts])
        return self.factory([{"modules": part, **options} for part, options in parts])

    def loss(self, net: nn.Module, t: int) -> Tensor:
        """Return the loss of step t."""
        return (net(self.inputs[t]) - self.targets[t]).square().mean()

    def step(self, net: nn.Module, *optimizers: Optimizer, t: int, sign: float = 1.0) -> None:
        """One step: clear, backward, step."""
        for optimizer in optimizers:
            optimizer.zero_grad()
        (sign * self.loss(net, t)).backward()
        for optimizer in optimizers:
            optimizer.step()


def values(net: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's parameters by name."""
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def require_equal(name: str, actual: nn.Module, expected: nn.Module, what: str, advice: str) -> None:
    """Fail unless two networks have the same bits."""
    for (key, a), b in zip(actual.named_parameters(), expected.parameters(), strict=True):
        if not torch.equal(a, b):
            gap = (a - b).abs().max().item()
            fail(name, f"{what}: parameter {key} differs by up to {gap:.3g}", advice)


def require_finite(name: str, parameters: Any, what: str, advice: str) -> None:
    """Fail if a parameter holds NaN or infinity."""
    if not all(torch.isfinite(p).all() for p in parameters):
        fail(name, f"{what}: a parameter is NaN or infinite", advice)


def check_moves(trial: Trial) -> None:
    """A few steps change every parameter and no gradient."""
    net = trial.network()
    start, optimizer = values(net), trial.build(net)
    for t in range(STEPS):
        optimizer.zero_grad()
        trial.loss(net, t).backward()
        gradients = [p.grad.clone() for p in net.parameters()]
        optimizer.step()
        if any(p.grad is None or not torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True)):
            fail("moves", "step() changed a .grad", "Work on a new tensor (g = g + …), not in place on p.grad.")
    require_finite("moves", net.parameters(), f"after {STEPS} steps", "Lower the learning rate, or guard a division.")
    for key, p in net.named_parameters():
        if torch.equal(p, start[key]):
            fail("moves", f"parameter {key} is where it started after {STEPS} steps", "Does step() visit it?")


def check_closure(trial: Trial) -> None:
    """``step(closure)`` is the same as backward and ``step()``."""
    plain, closed = trial.network(), trial.network()
    optimizer, with_closure = trial.build(plain), trial.build(closed)
    for t in range(3):
        calls = []

        def closure(t=t, calls=calls) -> Tensor:
            calls.append(torch.is_grad_enabled())
            with_closure.zero_grad()
            loss = trial.loss(closed, t)
            if calls[-1]:
                loss.backward()
            return loss

        expected = trial.loss(closed, t).item()
        trial.step(plain, optimizer, t=t)
        with torch.no_grad():
            loss = with_closure.step(closure)
        if calls != [True]:
            found = f"the closure ran {len(calls)} times, with gradients {'on' if all(calls) else 'off'}"
            fail("closure", found, "Call it once inside torch.enable_grad().")
        if loss is None or loss.item() != expected:
            fail("closure", f"step returned {loss} and the loss was {expected}", "Return what the closure returns.")
        require_equal("closure", closed, plain, f"step {t + 1}", "Call the closure before you read p.grad.")


def check_state_dict(trial: Trial) -> None:
    """The state is made of dense tensors, and loading gives back what was saved."""
    net = trial.network()
    optimizer = trial.build(net)
    for t in range(STEPS):
        trial.step(net, optimizer, t=t)
        saved = optimizer.state_dict()
        seen: dict[int, str] = {}
        for key, entry in saved["state"].items():
            for name, value in entry.items():
                place = f"state[{key}][{name!r}]"
                if not isinstance(value, Tensor) or value.layout != torch.strided:
                    found = f"{place} is {type(value).__name__}, not a dense tensor"
                    fail("state_dict", found, "Keep numbers in torch.tensor(…), lists as stacked tensors.")
                storage = value.untyped_storage().data_ptr()
                if storage in seen or not value.is_contiguous():
                    other = f"shares memory with {seen[storage]}" if storage in seen else "is not contiguous"
                    fail("state_dict", f"{place} {other}", "Give each state tensor storage of its own: .clone().")
                seen[storage] = place
        twin = trial.build(trial.network())
        twin.load_state_dict(copy.deepcopy(saved))
        returned = twin.state_dict()
        if returned["param_groups"] != saved["param_groups"]:
            fail("state_dict", "the groups' options differ after loading", "Keep options in the parameter groups.")
        if not same_state(returned["state"], saved["state"]):
            fail("state_dict", f"the state differs after loading at step {t + 1}", "Keep all memory in self.state[p].")


def same_state(a: dict, b: dict) -> bool:
    """Tell whether two ``state`` entries hold the same tensors of the same types."""
    if a.keys() != b.keys() or any(a[k].keys() != b[k].keys() for k in a):
        return False
    return all(torch.equal(a[k][n], b[k][n]) and a[k][n].dtype == b[k][n].dtype for k in a for n in a[k])


def check_resume(trial: Trial) -> None:
    """Stopping anywhere and loading changes nothing."""
    whole = trial.network()
    optimizer = trial.build(whole)
    for t in range(STEPS):
        trial.step(whole, optimizer, t=t)
    for stop in range(1, STEPS):
        first = trial.network()
        optimizer = trial.build(first)
        for t in range(stop):
            trial.step(first, optimizer, t=t)
        saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
        second = trial.network()
        second.load_state_dict(saved[0])
        optimizer = trial.build(second)
        optimizer.load_state_dict(saved[1])
        for t in range(stop, STEPS):
            trial.step(second, optimizer, t=t)
        advice = "Some memory (a counter, a buffer, a random start) is outside self.state[p] and the groups."
        require_equal("resume", second, whole, f"resumed after step {stop} of {STEPS}", advice)


def check_maximize(trial: Trial) -> None:
    """Maximizing −L is minimizing L."""
    down, up = trial.network(), trial.network()
    minimizer = trial.build(down)
    if not has_option(minimizer, "maximize"):
        advice = 'Add the option (g = −p.grad), or leave it out with without=("maximize",).'
        fail("maximize", "the optimizer has no option maximize", advice)
    maximizer = trial.build(up, maximize=True)
    for t in range(STEPS):
        trial.step(down, minimizer, t=t)
        trial.step(up, maximizer, t=t, sign=-1.0)
    require_equal("maximize", up, down, "maximizing −L against minimizing L", "Negate the gradient before all else.")


def has_option(optimizer: Optimizer, name: str) -> bool:
    """Tell whether an optimizer knows a hyper-parameter."""
    return name in optimizer.defaults or name in inspect.signature(type(optimizer)).parameters


def check_groups(trial: Trial) -> None:
    """Two groups in one optimizer act like two optimizers."""
    together, apart = trial.network(), trial.network()
    rate = trial.build(trial.network()).param_groups[0]["lr"]
    first, second = {"lr": rate}, {"lr": rate / 2}
    one = trial.build_groups([(together[0], first), (together[2], second)])
    two = [trial.build_groups([(apart[0], first)]), trial.build_groups([(apart[2], second)])]
    for t in range(STEPS):
        trial.step(together, one, t=t)
        trial.step(apart, *two, t=t)
    advice = "Read options from the group (group['lr']), and share nothing between groups."
    require_equal("groups", together, apart, "one optimizer with two groups against two optimizers", advice)


def check_zero_gradient(trial: Trial) -> None:
    """Gradients of 0 do no harm, at first and later."""
    for warm_up in (0, 2):
        net = trial.network()
        optimizer = trial.build(net)
        for t in range(warm_up):
            trial.step(net, optimizer, t=t)
        for _ in range(3):
            optimizer.zero_grad()
            for p in net.parameters():
                p.grad = torch.zeros_like(p)
            optimizer.step()
        what = f"3 steps of zero gradient after {warm_up} others"
        require_finite("zero_gradient", net.parameters(), what, "Guard the division by a norm: clamp(min=eps).")


def check_no_gradient(trial: Trial) -> None:
    """A parameter without gradient is left alone."""
    net = trial.network()
    optimizer = trial.build(net)
    for t in range(60):  # a multiple of the usual small periods, so that no sum of gradients is pending
        trial.step(net, optimizer, t=t % STEPS)
    start = values(net[2])
    for t in range(STEPS):
        optimizer.zero_grad()
        net[0](trial.inputs[t]).square().mean().backward()  # the second layer is not used
        optimizer.step()
        for p in net[2].parameters():
            if p.grad is not None:
                fail("no_gradient", "step() gave a parameter a .grad", "Restore p.grad as it was, None included.")
    for key, p in net[2].named_parameters():
        if not torch.equal(p, start[key]):
            fail("no_gradient", f"parameter {key} moved although its .grad is None", "Skip it: if p.grad is None.")


def check_shapes(trial: Trial) -> None:
    """All numbers of axes work, and memory layouts other than the usual one."""
    for shape in [(), (1,), (7,), (1, 5), (5, 1), (3, 4), (2, 3, 4), (2, 3, 2, 2)]:
        generator = torch.Generator().manual_seed(2)
        p = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5)
        layouts = [p]
        if p.ndim > 1:
            layouts.append(nn.Parameter(p.detach().transpose(0, -1).contiguous().transpose(0, -1)))
        for q in layouts:
            optimizer = trial.factory([q])
            start = q.detach().clone()
            for _ in range(STEPS):
                optimizer.zero_grad()
                q.square().sum().backward()
                optimizer.step()
            advice = "Say what the formula means for this shape, and view the tensor as a matrix."
            if q.shape != start.shape or torch.equal(q, start):
                fail("shapes", f"a parameter of shape {shape} did not move or changed shape", advice)
            require_finite("shapes", [q], f"a parameter of shape {shape}", advice)
        if not torch.allclose(layouts[0], layouts[-1], rtol=1e-9, atol=1e-12):
            advice = "reshape() may copy: assign the result back to the parameter."
            fail("shapes", f"shape {shape}: the result depends on the memory layout", advice)


PROPERTIES: dict[str, Callable[[Trial], None]] = {
    "moves": check_moves,
    "closure": check_closure,
    "state_dict": check_state_dict,
    "resume": check_resume,
    "maximize": check_maximize,
    "groups": check_groups,
    "zero_gradient": check_zero_gradient,
    "no_gradient": check_no_gradient,
    "shapes": check_shapes,
}
