"""Continuum memories that learn a stream of words while they read it, many side by side.

    python -m nbhelpers.evaluation.clocks [ARM ...]

tunes every arm of ``ARMS`` on two streams, measures it on five others, and writes a record of kind "bench" for each.

Each of the M models is three blocks of the kind that ``nbhelpers.layers.cms`` has, in a chain or side by side, on words
as unit vectors: the model's width is the size of the vocabulary, and what leaves the last block are the scores of the
next word. Of a block only the last matrix learns, and nothing else does. Every word is predicted before anything has
learned from it.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.core.records import RUNS, Record
from nbhelpers.data.time_scales import KINDS, Stream, make_stream, vocabulary
from nbhelpers.layers.cms import VARIANTS

HIDDEN = 32
SHARED = 2.0  # length of the direction that all words share; the part that is a word's own has length 1
TUNED_ON, REPORTED = (100, 101), (0, 1, 2, 3, 4)  # seeds; the first of the training part, the others held out
TRIALS, EXPONENTS = 27, (0.0, 0.5, 1.0)
RATES = -4.0, -1.0  # powers of ten between which the rate of the shortest period is tried
ONE_CLOCK = -5.0, -1.0  # the same for a single period, which may be long
BIN, PROBE_EVERY, PEEK_EVERY, PEEK = 64, 512, 64, 16  # words

LEARNED = ("down",)  # gate and up stay at their random start: the steps cannot blow up, at any rate
Weights = list[dict[str, Tensor]]  # a block: gate, up (M, hidden, V), down (M, V, hidden)


@dataclass(frozen=True)
class Arm:
    """How the three blocks change, from the first that a word meets to the last.

    Attributes
    ----------
    periods: of each block in words; ``math.inf`` is frozen.
    variant: of the continuum memory. ``"nested"`` sets a block back to its start when the next slower one changes.
    """

    periods: tuple[float, ...]
    variant: str = "sequential"

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise ValueError(f"variant is {self.variant!r}; expected one of {', '.join(VARIANTS)}.")

    @property
    def piece(self) -> int:
        """Words read at a time: the shortest period."""
        finite = [period for period in self.periods if period != math.inf]
        return int(min(finite)) if finite else BIN

    def rates(self, rate: float, exponent: float) -> Tensor:
        """η of each block: ``rate`` for the shortest period, times a power of shortest / own period.

        0 leaves sums over the period as they are, 1 makes them means (up to one factor for all).
        """
        ratios = [0.0 if period == math.inf else self.piece / period for period in self.periods]
        return torch.tensor([rate * ratio**exponent if ratio else 0.0 for ratio in ratios])

    def trials(self) -> list[tuple[float, float]]:
        """(rate, exponent) to try: as many for every arm, save the frozen one, which has nothing to tune."""
        if set(self.periods) == {math.inf}:
            return [(0.0, 0.0)]
        if len(set(self.periods) - {math.inf}) == 1:
            return [(float(f"{rate:.3g}"), 0.0) for rate in np.logspace(*ONE_CLOCK, TRIALS)]
        count = TRIALS // len(EXPONENTS)
        return [(float(f"{rate:.3g}"), e) for e in EXPONENTS for rate in np.logspace(*RATES, count)]


FAST, MIDDLE, SLOW = 16, 128, 512
ARMS = {
    "cms": Arm((FAST, MIDDLE, SLOW)),
    "order.fast.slow.middle": Arm((FAST, SLOW, MIDDLE)),
    "order.middle.fast.slow": Arm((MIDDLE, FAST, SLOW)),
    "order.middle.slow.fast": Arm((MIDDLE, SLOW, FAST)),
    "order.slow.fast.middle": Arm((SLOW, FAST, MIDDLE)),
    "order.slow.middle.fast": Arm((SLOW, MIDDLE, FAST)),
    "first.alone": Arm((FAST, math.inf, math.inf)),
    "one.fast": Arm((FAST,) * 3),
    "one.middle": Arm((MIDDLE,) * 3),
    "one.slow": Arm((SLOW,) * 3),
    "nested": Arm((FAST, MIDDLE, SLOW), "nested"),
    "independent": Arm((FAST, MIDDLE, SLOW), "independent"),
    "frozen": Arm((math.inf,) * 3),
}


def start_weights(seeds: Sequence[int], words: int, blocks: int = 3, hidden: int = HIDDEN) -> Weights:
    """What the models begin with, one for each seed: random gate and up, down zero, so that no block says anything."""
    found = []
    for block in range(blocks):
        draws = [torch.Generator().manual_seed(1000 * seed + block) for seed in seeds]
        gate, up = (torch.stack([torch.randn(hidden, words, generator=g) for g in draws]) for _ in range(2))
        found.append({"gate": gate, "up": up, "down": torch.zeros(len(seeds), words, hidden)})
    return found


def scores(weights: Weights, x: Tensor, variant: str = "sequential") -> Tensor:
    """Scores of the next word (M, L, V) after words x (M, L).

    A word is its unit vector plus a direction that all words share. Each block sees its input at length one.
    """
    width = weights[0]["gate"].shape[-1]
    word = F.one_hot(x, width).to(weights[0]["gate"].dtype) + SHARED * width**-0.5
    unit = torch.full((width,), width**-0.5, dtype=word.dtype)
    total = word
    for block in weights:
        z = F.rms_norm(word if variant == "independent" else total, (width,), unit, eps=1e-6)
        total = total + (F.silu(z @ block["gate"].mT) * (z @ block["up"].mT)) @ block["down"].mT
    return total


def losses(weights: Weights, x: Tensor, target: Tensor, variant: str = "sequential") -> Tensor:
    """Nats of each word in ``target`` (M, L)."""
    logits = scores(weights, x, variant)
    return torch.logsumexp(logits, -1) - logits.gather(-1, target[..., None])[..., 0]


def read(arm: Arm, words: Tensor, weights: Weights, rates: Tensor) -> Iterator[tuple[int, Tensor, Weights]]:
    """Learn while reading; yield after each piece the words predicted so far, the losses of the piece, the weights.

    A block whose period is over takes one step down the *sum* of the period's gradients, each taken at the weights
    that its piece was read with: (71) of arXiv 2512.24695 with C terms.

    Parameters
    ----------
    words: (M, T + 1), a stream for each model; T a multiple of every period, or the last period takes no step.
    weights: where the models begin; left as they are.
    rates: (M, blocks) learning rate of each block.

    Yields
    ------
    The weights are the models' own: look at them, and copy what you keep.
    """
    now = [{name: tensor.clone() for name, tensor in block.items()} for block in weights]
    sums = [{name: torch.zeros_like(tensor) for name, tensor in block.items()} for block in weights]
    moving = [b for b, period in enumerate(arm.periods) if period != math.inf]
    by_period = sorted(moving, key=lambda b: arm.periods[b])
    for begin in range(0, words.shape[1] - 1, arm.piece):
        end = min(begin + arm.piece, words.shape[1] - 1)
        leaves = [now[b][name].requires_grad_() for b in moving for name in LEARNED]
        loss = losses(now, words[:, begin:end], words[:, begin + 1 : end + 1], arm.variant)
        gradients = dict(zip(((b, name) for b in moving for name in LEARNED), _slopes(loss, leaves), strict=True))
        for leaf in leaves:
            leaf.requires_grad_(False)
        for (b, name), gradient in gradients.items():
            if arm.periods[b] == arm.piece:
                now[b][name].sub_(rates[:, b, None, None] * gradient)
                continue
            total = sums[b][name].add_(gradient)
            if end % arm.periods[b] == 0:
                now[b][name].sub_(rates[:, b, None, None] * total)
                total.zero_()
        if arm.variant == "nested":
            for quick, slow in itertools.pairwise(by_period):
                if end % arm.periods[slow] == 0:
                    for name in LEARNED:
                        now[quick][name].copy_(weights[quick][name])
        yield end, loss.detach(), now


def _slopes(loss: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss.sum(), leaves) if leaves else ()


def without(weights: Weights, start: Weights, block: int) -> Weights:
    """The weights with one block set back to its start."""
    return [start[b] if b == block else one for b, one in enumerate(weights)]


def stacked(streams: Sequence[Stream]) -> Tensor:
    """The words of streams of one length, (M, T + 1): before the first, which is predicted too, stands its copy."""
    return torch.tensor(np.stack([np.concatenate([one.words[:1], one.words]) for one in streams]))


def tune(arm: Arm, say=print) -> list[dict]:
    """Mean loss of every trial over the streams that it is tuned on; a trial that diverges has none."""
    tried = arm.trials()
    start = start_weights([0] * len(tried), len(vocabulary().names))
    rates = torch.stack([arm.rates(*trial) for trial in tried])
    rows = [{"rate": rate, "exponent": exponent, "losses": []} for rate, exponent in tried]
    for seed in TUNED_ON:
        words = stacked([make_stream(seed, part="train")]).expand(len(tried), -1)
        total = sum(loss.sum(1) for _, loss, _ in read(arm, words, start, rates)) / (words.shape[1] - 1)
        for row, value in zip(rows, total.tolist(), strict=True):
            row["losses"].append(round(value, 5) if math.isfinite(value) else None)
    for row in rows:
        row["loss"] = None if None in row["losses"] else float(np.mean(row["losses"]))
    return rows


def best(rows: Sequence[dict]) -> dict:
    """The trial with the lowest loss."""
    return min((row for row in rows if row["loss"] is not None), key=lambda row: row["loss"])


def measure(arm: Arm, rate: float, exponent: float, seeds: Sequence[int] = REPORTED) -> dict[str, np.ndarray]:
    """Read the held-out streams of ``seeds`` and ask on the way.

    Returns
    -------
    loss: (seeds, bins, kinds) summed nats of the words of each kind in bins of ``BIN`` words.
    count: (seeds, bins, kinds) how many words these are.
    peek: (seeds, 4, kinds) summed nats of the ``PEEK`` words ahead, every ``PEEK_EVERY`` words: as the model is, and
        with the first, second or third block at its start; peek_count: (seeds, kinds).
    probe: (seeds, times, 4, topics) mean nats of each topic's probe, every ``PROBE_EVERY`` words, just before and
        just after the ticks of that moment: times = 2 · T / ``PROBE_EVERY``.
    """
    streams = [make_stream(seed) for seed in seeds]
    words, kinds = stacked(streams), torch.tensor(vocabulary().kinds)
    asked = torch.tensor(np.stack([one.probes for one in streams]))  # (M, topics, N)
    x, y = asked[:, :, :-1].flatten(1), asked[:, :, 1:].flatten(1)
    start = start_weights(seeds, len(vocabulary().names))
    rates = arm.rates(rate, exponent).expand(len(seeds), -1)
    kind = F.one_hot(kinds[words[:, 1:]], len(KINDS))

    def conditions(weights: Weights) -> list[Weights]:
        return [weights, *(without(weights, start, b) for b in range(len(weights)))]

    def probe(weights: Weights) -> Tensor:
        shape = len(seeds), asked.shape[1], -1
        found = [losses(one, x, y, arm.variant).view(shape).mean(2) for one in conditions(weights)]
        return torch.stack(found, 1)

    every, probes = [], []
    peeks, peek_count = torch.zeros(len(seeds), 4, len(KINDS)), torch.zeros(len(seeds), len(KINDS))
    held = start
    for end, loss, now in read(arm, words, start, rates):
        every.append(loss)
        if end % PROBE_EVERY == 0:
            probes += [probe(held), probe(now)]
        if end % PEEK_EVERY == 0 and end + PEEK < words.shape[1]:
            ahead = slice(end, end + PEEK)
            inputs, right = words[:, ahead], words[:, end + 1 : end + PEEK + 1]
            for c, one in enumerate(conditions(now)):
                found = losses(one, inputs, right, arm.variant)
                peeks[:, c] += torch.einsum("ml,mlk->mk", found, kind[:, ahead].float())
            peek_count += kind[:, ahead].sum(1)
        if (end + arm.piece) % PROBE_EVERY == 0:  # the next piece ends at a probe: keep what is there before its ticks
            held = [{name: tensor.clone() for name, tensor in block.items()} for block in now]
    loss = torch.cat(every, 1)
    bins = loss.shape[1] // BIN
    by_kind = (loss[..., None] * kind)[:, : bins * BIN].view(len(seeds), bins, BIN, -1).sum(2)
    count = kind[:, : bins * BIN].view(len(seeds), bins, BIN, -1).sum(2)
    found = {"loss": by_kind, "count": count, "peek": peeks, "peek_count": peek_count}
    return {name: value.numpy() for name, value in (found | {"probe": torch.stack(probes, 1)}).items()}


def settings(arm: Arm) -> dict:
    """What decides an arm's record."""
    periods = [period if period != math.inf else "never" for period in arm.periods]
    return {
        "task": "clocks",
        "periods": periods,
        "variant": arm.variant,
        "hidden": HIDDEN,
        "words": len(vocabulary().names),
        "trials": [list(trial) for trial in arm.trials()],
        "tuned_on": list(TUNED_ON),
        "reported": list(REPORTED),
    }


def run_arm(name: str, to: str | Path = RUNS) -> Record:
    """The record of an arm; what is there is not run again."""
    arm = ARMS[name]
    record = Record("bench", f"clocks.{name}", 0, settings(arm), to)
    if record.result is not None:
        return record
    record.begin()
    for row in tune(arm):
        record.log(**row)
    chosen = best(tuned(record))
    for name_of, values in measure(arm, chosen["rate"], chosen["exponent"]).items():
        record.log(measured=name_of, values=np.round(values.astype(float), 4).tolist())
    record.finish(status="done", rate=chosen["rate"], exponent=chosen["exponent"])
    return record


def tuned(record: Record) -> list[dict]:
    """The trials of a record: rate, exponent, losses by stream, their mean."""
    return [row for row in record.rows() if "rate" in row]


def measured(record: Record) -> dict[str, np.ndarray]:
    """What :func:`measure` found, from its record."""
    return {row["measured"]: np.array(row["values"]) for row in record.rows() if "measured" in row}


def main(names: Sequence[str]) -> int:
    """Run the arms that are named, or all."""
    torch.set_num_threads(1)
    for name in names or ARMS:
        record = run_arm(name)
        total = np.sum(record.result["loss"]) / np.sum(record.result["count"])
        print(
            f"{name}: rate {record.result['rate']}, exponent {record.result['exponent']}, {total:.4f} nats", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
