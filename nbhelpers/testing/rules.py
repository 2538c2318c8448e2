"""Properties that the two forms of a recurrence hold, as a function to run on a rule of your own."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.testing.property import chosen, fail, require_close

SHAPE = (2, 2, 14)  # batch, heads, tokens: three chunks of 4 and a rest
WIDTH, CHUNK = 3, 4
PIECES = (1, 6, 2, 5)

Op = Callable[..., tuple[Tensor, dict[str, Tensor]]]


def check_rule(op: Op, sequential: Op | None = None, *, without: tuple[str, ...] = ()) -> list[str]:
    """Run every property below on an op and, if given, its definition as a loop; return the names that held.

    ==========  =======================================================================================================
    definition  outputs and final state equal those of ``sequential`` (left out if there is none)
    gradients   so do all gradients, those of the initial memory and of every gate included
    pieces      a sequence in pieces, the state carried, gives the numbers of the whole
    causal      changing token t changes no output before t
    rows        changing one sequence of a batch changes no other
    ==========  =======================================================================================================

    Parameters
    ----------
    op, sequential: ``(queries, keys, values, *gates, state=None, chunk_size=…) -> (y, state)`` with the shapes of
        ``nbhelpers.ops.conventions``, for a matrix memory. What stands between ``values`` and ``state`` is taken as
        gates, each drawn from (0, 1/4): a stable range for the rules of this book at a chunk of 4.
    without: names of properties to leave out.

    Raises
    ------
    PropertyFailed
        At the first property that does not hold.
    """
    held = chosen(PROPERTIES, (*without, *(() if sequential is not None else ("definition", "gradients"))))
    for check in held.values():
        check(Trial(op, sequential))
    return list(held)


class Trial:
    """An op, its loop and one set of float64 inputs."""

    def __init__(self, op: Op, sequential: Op | None) -> None:
        self.op, self.sequential = op, sequential
        self.generator = torch.Generator().manual_seed(0)
        names = list(inspect.signature(op).parameters)
        self.inputs = {name: self.normal(*SHAPE, WIDTH) for name in ("queries", "keys", "values")}
        self.inputs["keys"] = F.normalize(self.inputs["keys"], dim=-1)
        for name in names[3 : names.index("state")]:
            self.inputs[name] = 0.25 * torch.rand(SHAPE, generator=self.generator, dtype=torch.float64)
        self.memory = self.normal(*SHAPE[:2], WIDTH, WIDTH)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def run(self, form: Op, inputs: dict[str, Tensor], memory: Tensor, pieces: tuple[int, ...] = SHAPE[2:]):
        state = {"memory": memory, "anchor": memory, "position": torch.zeros(len(memory), dtype=torch.int64)}
        outputs, start = [], 0
        for length in pieces:
            part = {name: x[:, :, start : start + length] for name, x in inputs.items()}
            y, state = form(**part, state=state, chunk_size=CHUNK)
            outputs.append(y)
            start += length
        return torch.cat(outputs, 2), state

    def differentiated(self, form: Op) -> dict[str, Tensor]:
        leaves = {name: x.clone().requires_grad_() for name, x in {**self.inputs, "memory": self.memory}.items()}
        y, state = self.run(form, {name: leaves[name] for name in self.inputs}, leaves["memory"])
        loss = (y * torch.arange(y.numel()).view(y.shape).cos()).sum() + state["memory"].square().sum()
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True), strict=True))


def check_definition(trial: Trial) -> None:
    y, state = trial.run(trial.op, trial.inputs, trial.memory)
    expected, end = trial.run(trial.sequential, trial.inputs, trial.memory)
    advice = "Look at the order of decay and write, and at which memory the gradient is taken."
    require_close("definition", y, expected, "the output", advice)
    require_close("definition", state["memory"], end["memory"], "the final memory", advice)


def check_gradients(trial: Trial) -> None:
    expected = trial.differentiated(trial.sequential)
    for name, gradient in trial.differentiated(trial.op).items():
        if gradient is None or expected[name] is None:
            fail("gradients", f"{name} gets no gradient", "Look for a detach in the write path.")
        require_close("gradients", gradient, expected[name], f"the gradient of {name}", "Look for a detach.")


def check_pieces(trial: Trial) -> None:
    whole, end = trial.run(trial.op, trial.inputs, trial.memory)
    y, state = trial.run(trial.op, trial.inputs, trial.memory, PIECES)
    advice = "Chunk boundaries lie at absolute positions: carry position and anchor."
    require_close("pieces", y, whole, "the output in pieces", advice)
    require_close("pieces", state["memory"], end["memory"], "the final memory in pieces", advice)


def check_causal(trial: Trial) -> None:
    before, _ = trial.run(trial.op, trial.inputs, trial.memory)
    for t in (0, 5, SHAPE[2] - 1):
        changed = {name: x.clone() for name, x in trial.inputs.items()}
        for x in changed.values():
            x[:, :, t] *= 0.5
        after, _ = trial.run(trial.op, changed, trial.memory)
        advice = "A mask that should be lower triangular is not."
        require_close("causal", after[:, :, :t], before[:, :, :t], f"changing token {t}: an earlier output", advice)


def check_rows(trial: Trial) -> None:
    before, _ = trial.run(trial.op, trial.inputs, trial.memory)
    changed = {name: torch.cat([0.5 * x[:1], x[1:]]) for name, x in trial.inputs.items()}
    after, _ = trial.run(trial.op, changed, trial.memory)
    require_close("rows", after[1:], before[1:], "another row's output", "Nothing may be summed over the batch.")


PROPERTIES = {
    "definition": check_definition,
    "gradients": check_gradients,
    "pieces": check_pieces,
    "causal": check_causal,
    "rows": check_rows,
}
