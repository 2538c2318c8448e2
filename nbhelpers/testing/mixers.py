"""Properties that any sequence mixer of this book holds, as a function to run on one of your own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nbhelpers.testing.property import chosen, fail, require_close

BATCH, LENGTH = 3, 23
PIECES = (1, 5, 2, 8, 1, 6)


def check_mixer(factory: Callable[[], nn.Module], *, without: tuple[str, ...] = ()) -> list[str]:
    """Run every property below on the mixer that ``factory`` builds, and return the names of those that held.

    ==============  ===================================================================================================
    shapes          y has the shape and type of x; the state is a dict of tensors, batch first
    pieces          a sequence in pieces, the state carried, gives the output and the state of the whole
    causal          changing token t changes no output before t, and changes some from t on
    rows            changing one sequence of a batch changes no other
    modes           train mode and eval mode compute the same
    gradients       at a random point every parameter gets a gradient of norm above 1e-8
    reset           after a reset at t the output is that of a sequence that begins at t
    padding         padded tokens change nothing, in front and behind, and their output is 0
    truncate        ``truncate=1`` leaves numbers as they are and cuts the gradient between chunks
    constant_state  the state's size does not depend on the tokens seen (unless ``mixer.grows``)
    finite          10 times larger inputs, one token repeated 300 times: output and state stay finite
    saved           the state survives a safetensors file
    ==============  ===================================================================================================

    Parameters
    ----------
    factory: builds the mixer: attributes ``width`` and ``chunk_size``, method ``initial_state(batch, position)``, and
        ``forward(x, state=None, *, reset, padding, truncate) -> (y, state)``. Small is fast: a chunk of 4 is crossed
        five times here. It runs in float64.
    without: names of properties to leave out.

    Raises
    ------
    PropertyFailed
        At the first property that does not hold.
    """
    held = chosen(PROPERTIES, without)
    for check in held.values():
        check(Trial(factory))
    return list(held)


class Trial:
    """One mixer at a random parameter point, in double precision, and one batch of inputs."""

    def __init__(self, factory: Callable[[], nn.Module]) -> None:
        torch.manual_seed(0)
        self.mixer = factory().double()
        self.generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in self.mixer.parameters():
                p += 0.1 * torch.randn(p.shape, generator=self.generator, dtype=p.dtype)
        self.x = self.normal(BATCH, LENGTH)

    def normal(self, batch: int, length: int) -> Tensor:
        return torch.randn(batch, length, self.mixer.width, generator=self.generator, dtype=torch.float64)


def check_shapes(trial: Trial) -> None:
    y, state = trial.mixer(trial.x)
    if y.shape != trial.x.shape or y.dtype != trial.x.dtype:
        fail("shapes", f"y is {tuple(y.shape)} of {y.dtype} for x {tuple(trial.x.shape)}", "Return one row a token.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.shape[:1] != (BATCH,):
            fail("shapes", f"state[{name!r}] is not a tensor with the batch first", "Keep the state a flat dict.")


def check_pieces(trial: Trial) -> None:
    whole, end = trial.mixer(trial.x)
    outputs, state, start = [], None, 0
    for length in PIECES:
        y, state = trial.mixer(trial.x[:, start : start + length], state)
        outputs.append(y)
        start += length
    advice = (
        "Carry the convolution's tail, the anchor and the position, and put chunk boundaries at absolute positions."
    )
    require_close("pieces", torch.cat(outputs, 1), whole, "the output in pieces", advice)
    if state.keys() != end.keys():
        fail("pieces", f"the state in pieces has {sorted(state)}, the whole's {sorted(end)}", advice)
    for name in end:
        require_close("pieces", state[name].double(), end[name].double(), f"state[{name!r}] in pieces", advice)


def check_causal(trial: Trial) -> None:
    before, _ = trial.mixer(trial.x)
    for t in (0, 5, LENGTH - 1):
        changed = trial.x.clone()
        changed[:, t] += 1
        after, _ = trial.mixer(changed)
        advice = "Look for a convolution padded on both sides, or a chunk that reads what its later tokens wrote."
        require_close("causal", after[:, :t], before[:, :t], f"changing token {t}: an earlier output", advice)
        if torch.allclose(after[:, t:], before[:, t:]):
            fail("causal", f"changing token {t} changes nothing", "The mixer does not look at its input.")


def check_rows(trial: Trial) -> None:
    before, _ = trial.mixer(trial.x)
    changed = trial.x.clone()
    changed[0] = trial.normal(1, LENGTH)[0]
    after, _ = trial.mixer(changed)
    advice = "The state of one sequence must not be shared or averaged over the batch."
    require_close("rows", after[1:], before[1:], "changing the first sequence: another's output", advice)


def check_modes(trial: Trial) -> None:
    train, _ = trial.mixer.train()(trial.x)
    evaluated, _ = trial.mixer.eval()(trial.x)
    require_close("modes", evaluated, train, "the output in eval mode", "Nothing may depend on ``self.training``.")


def check_gradients(trial: Trial) -> None:
    y, _ = trial.mixer(trial.x)
    weights = torch.randn(y.shape, generator=trial.generator, dtype=y.dtype)
    (y * weights).sum().backward()
    for name, p in trial.mixer.named_parameters():
        if p.grad is None or not p.grad.norm() > 1e-8:
            fail("gradients", f"parameter {name} gets no gradient", "Look for a detach or no_grad in the write path.")


def check_reset(trial: Trial) -> None:
    t = 9
    reset = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    reset[1, t] = True
    plain, _ = trial.mixer(trial.x)
    y, _ = trial.mixer(trial.x, reset=reset)
    alone, _ = trial.mixer(trial.x[1:2, t:], trial.mixer.initial_state(1, t))
    advice = "A reset brings back the initial memory and empties convolution, momentum and cache of that row alone."
    require_close("reset", y[1:2, t:], alone, "the output after the reset", advice)
    require_close("reset", y[1, :t], plain[1, :t], "the output before the reset", advice)
    require_close("reset", y[[0, 2]], plain[[0, 2]], "the output of rows without a reset", advice)


def check_padding(trial: Trial) -> None:
    padding = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    padding[0, :6], padding[1, -4:] = True, True
    y, state = trial.mixer(trial.x, padding=padding)
    front, _ = trial.mixer(trial.x[:1, 6:], trial.mixer.initial_state(1, 6))
    behind, _ = trial.mixer(trial.x[1:2, :-4])
    advice = "Padded tokens must not write: hold memory, momentum and convolution of that row."
    require_close("padding", y[:1, 6:], front, "the output after padding", advice)
    require_close("padding", y[1:2, :-4], behind, "the output before padding", advice)
    require_close("padding", y[padding], torch.zeros_like(y[padding]), "the output at padded tokens", advice)
    # What comes next continues behind the last real token.
    more = trial.normal(BATCH, 5)
    after, _ = trial.mixer(more, state)
    _, held = trial.mixer(trial.x[1:2, :-4])
    held["position"] = state["position"][1:2]  # the grid of chunks went on
    held |= {name: state[name][1:2] for name in held if name.startswith("anchor")}
    expected, _ = trial.mixer(more[1:2], held)
    require_close("padding", after[1:2], expected, "the output of what follows padding", advice)


def check_truncate(trial: Trial) -> None:
    first = trial.mixer.chunk_size
    x = trial.x.clone().requires_grad_()
    plain, _ = trial.mixer(x)
    cut, _ = trial.mixer(x, truncate=1)
    advice = "Detach the state at chunk boundaries, and nothing else."
    require_close("truncate", cut, plain, "the output with truncate=1", advice)
    if trial.mixer.grows:
        return
    (through,) = torch.autograd.grad(cut[:, first:].square().sum(), x)
    if through[:, :first].abs().max() > 0:
        fail("truncate", "a gradient flows from the second chunk into the first", advice)


def check_constant_state(trial: Trial) -> None:
    if trial.mixer.grows:
        return
    sizes = [sum(t.numel() for t in trial.mixer(trial.x[:, :n])[1].values()) for n in (1, LENGTH)]
    if sizes[0] != sizes[1]:
        fail("constant_state", f"{sizes[0]} numbers after 1 token, {sizes[1]} after {LENGTH}", "Set ``grows = True``.")


def check_finite(trial: Trial) -> None:
    once = 10 * trial.normal(1, 1)
    loud = torch.cat([once.expand(1, 300, -1), 10 * trial.normal(1, 300)], 1)
    with torch.no_grad():
        y, state = trial.mixer(loud)
    advice = "The inner learning rate is above its stability bound for this chunk size (nbhelpers.ops.stability)."
    for name, tensor in {"y": y, **state}.items():
        if tensor.is_floating_point() and not (torch.isfinite(tensor).all() and tensor.abs().max() < 1e6):
            fail("finite", f"{name} grows beyond all bounds", advice)


def check_saved(trial: Trial) -> None:
    from safetensors.torch import load_file, save_file

    _, state = trial.mixer(trial.x)
    following = trial.normal(BATCH, 5)
    expected, _ = trial.mixer(following, state)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, path)
        y, _ = trial.mixer(following, load_file(path))
    require_close("saved", y, expected, "the output from a saved state", "Keep everything that matters in the state.")


PROPERTIES = {
    "shapes": check_shapes,
    "pieces": check_pieces,
    "causal": check_causal,
    "rows": check_rows,
    "modes": check_modes,
    "gradients": check_gradients,
    "reset": check_reset,
    "padding": check_padding,
    "truncate": check_truncate,
    "constant_state": check_constant_state,
    "finite": check_finite,
    "saved": check_saved,
}
