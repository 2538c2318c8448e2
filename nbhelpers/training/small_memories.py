"""Memories of one layer on the games of ``nbhelpers.data.rules``, many members trained side by side.

    python -m nbhelpers.training.small_memories [game=flip] [arm=keys] [steps=100]     what is not recorded yet

A member is one arm with one learning rate and one seed; all members of an arm are one batch of matrices, which is why
they do not go through ``training.loop``. Each arm tries the same rates with the same seeds; ``training.sweep.lowest``
takes the rate by the mean loss on validation sequences, and other sequences test it. One record of kind "bench" an arm
and game.

What all arms share: address a = rms(W_told told), key, value, q = unit(W_asked asked), a readout of one hidden layer
that sees the answer y and q, and y read before the write. Sizes are equal within 3 %, in name:
of a fixed table for a gate one row would do, which leaves about 128 of 738 numbers idle. Attention is wider to be as
large.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.core.records import RUNS, Record
from nbhelpers.data.rules import (
    DOUBLE,
    GAMES,
    LONG,
    NAMES,
    SHORT,
    TURN,
    Game,
    address,
    flip,
    parity,
    recall,
    told_since,
)
from nbhelpers.training.sweep import lowest

WIDTH, HIDDEN = 8, 16  # of a memory, of the readout
WIDE, WIDE_HIDDEN = 11, 15  # the same in attention, which has no other use for as many parameters
BATCH = 32
MADE = ("key", "value", "learning_rate", "retention")


@dataclass(frozen=True)
class Arm:
    """A rule of memory: which of ``MADE`` are memories, whether targets are the memory's own, which terms it has."""

    rule: str  # "attention", "gated delta", "titans" or "self-modifying"
    written: tuple[str, ...] = ()
    own_values: bool = True
    objective: str = "l2"


@dataclass(frozen=True)
class Plan:
    """What every arm gets on a game: learning rates to choose from, seeds, steps of training."""

    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int


_RATES, _SEEDS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1), (10, 11, 12, 13, 14)
PLANS = {
    "flip": Plan(_RATES, _SEEDS, 1500),
    "recall": Plan(_RATES, _SEEDS, 500),
    "address": Plan(_RATES, _SEEDS, 1500),
    "parity": Plan(_RATES, _SEEDS, 500),
}

ARMS = {
    "attention": Arm("attention"),
    "gated_delta": Arm("gated delta"),
    "titans": Arm("titans"),
    "single_erase": Arm("self-modifying", own_values=False, objective="dot"),
    "double_erase": Arm("self-modifying", own_values=False),
    "static": Arm("self-modifying"),
    "keys": Arm("self-modifying", ("key",)),
    "values": Arm("self-modifying", ("value",)),
    "rates": Arm("self-modifying", ("learning_rate", "retention")),
    "all": Arm("self-modifying", MADE),
}


def unit(x: Tensor) -> Tensor:
    """x / ‖x‖ along the last axis."""
    return F.normalize(x, dim=-1, eps=1e-6)


def start(arm: str, told: int, asked: int, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """Parameters of members with these seeds, the first axis of each tensor; ``told``, ``asked`` are widths of inputs.

    Members with one seed begin alike in all arms but attention.
    """
    members = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int, generator=generator) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float32) / shape[-1] ** 0.5

        rule = ARMS[arm].rule
        d, h = (WIDE, WIDE_HIDDEN) if rule == "attention" else (WIDTH, HIDDEN)
        p = {"told": draw(d, told), "asked": draw(d, asked), "key": draw(d, d), "value": draw(d, d)}
        p |= {"inner": draw(h, 2 * d), "inner_bias": torch.zeros(h), "outer": draw(2, h)}
        if rule == "attention":
            p |= {"sharpness": torch.tensor([4.0]), "slope": torch.tensor([0.1])}
        else:
            p |= {"learning_rate": draw(d, d), "retention": draw(d, d), "main": draw(d, d)}
            p |= {"readout": draw(2, d), "bias": torch.tensor([-1.0, -4.0])}
        if rule == "titans":
            p |= {"momentum": draw(1, d), "momentum_bias": torch.zeros(1)}
        members.append(p)
    return {name: torch.stack([p[name] for p in members]).float() for name in members[0]}


def linear(W: Tensor, x: Tensor) -> Tensor:
    """W (E, o, i) on x (E, N, L, i) → (E, N, L, o)."""
    return torch.einsum("eoi,enli->enlo", W, x)


def answer(arm: str, p: dict[str, Tensor], told: Tensor, asked: Tensor) -> Tensor:
    """Logits (E, N, L, 2) of E members for told (E, N, L, n) and asked (E, N, L, m)."""
    a = linear(p["told"], told)
    a, q = F.rms_norm(a, a.shape[-1:]), unit(linear(p["asked"], asked))
    y = attend(p, a, q) if ARMS[arm].rule == "attention" else remember(ARMS[arm], p, a, q)
    hidden = F.gelu(linear(p["inner"], torch.cat([y, q], -1)) + p["inner_bias"][:, None, None])
    return linear(p["outer"], hidden)


def attend(p: dict[str, Tensor], a: Tensor, q: Tensor) -> Tensor:
    """Softmax attention over the steps before, with a slope against age; nothing at the first step."""
    k, v = unit(linear(p["key"], a)), unit(linear(p["value"], a))
    steps = torch.arange(a.shape[2])
    age = steps[:, None] - steps - 1
    scores = p["sharpness"][:, :, None, None] * (q @ k.mT) - p["slope"][:, :, None, None] * age
    return (scores.masked_fill(age < 0, -1e9).softmax(-1) * (age >= 0)) @ v


def remember(arm: Arm, p: dict[str, Tensor], a: Tensor, q: Tensor) -> Tensor:
    """What the main memory of each step answers to q, read before the write: (E, N, L, d).

    Memories with targets of their own share keys, rates and v, so each is its start times one matrix,
    M_□,t = M_□,0 P_t (derived in *Self-modifying Titans*): P is all that changes. Otherwise P is M_main. Sequences come
    last in here, P (E, d, d, N) and vectors (E, d, N): products of small matrices are then rows of long sums, which is
    twice as fast.
    """
    own = arm.rule == "self-modifying" and arm.own_values
    begin = torch.eye(WIDTH, dtype=a.dtype) if own else p["main"]
    P = begin[..., None].expand(len(a), -1, -1, a.shape[1]).contiguous()
    S = torch.zeros_like(P)
    static = {name: linear(p[name], a).permute(2, 0, 3, 1) for name in MADE if name not in arm.written}
    if arm.rule == "titans":
        static["momentum"] = linear(p["momentum"], a).permute(2, 0, 3, 1)
    addresses, queries, reads = a.permute(2, 0, 3, 1), q.permute(2, 0, 3, 1).contiguous(), []
    for t in range(a.shape[2]):
        reads.append(times(P, queries[t]))
        P, S = write(arm, p, P, S, addresses[t], {name: rows[t] for name, rows in static.items()})
    y = torch.stack(reads).permute(1, 3, 0, 2)
    return linear(p["main"], y) if own else y


def write(
    arm: Arm, p: dict[str, Tensor], P: Tensor, S: Tensor, x: Tensor, made: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """One token with the address x (E, d, N): P and the momentum S after it. ``made``: what fixed tables make of x."""
    if arm.written:
        seen = times(P, x)
        made = made | {name: p[name] @ seen for name in arm.written}
    k, v = (F.normalize(made[name], dim=1, eps=1e-6) for name in ("key", "value"))
    raw = [p["readout"][:, i : i + 1] @ made[name] + p["bias"][:, i, None, None] for i, name in enumerate(MADE[2:])]
    η, α = torch.sigmoid(raw[0]), torch.sigmoid(-raw[1])
    held, row, fade = times(P, k), k[:, None], α[:, None]
    if arm.rule == "gated delta":
        return torch.addcmul(fade * P, (η * (v - α * held))[:, :, None], row), S
    if arm.rule == "titans":
        μ = 0.95 * torch.sigmoid(made["momentum"] + p["momentum_bias"][:, None])
        S = torch.addcmul(μ[:, None] * S, ((1 - μ) * α * η * (v - held))[:, :, None], row)
        return fade * P + S, S
    erased = 2 * held if arm.objective == "l2" else held
    target = times(P, v) if arm.own_values else v
    return torch.addcmul(fade * P, (α * η * (target - erased))[:, :, None], row), S


def times(P: Tensor, x: Tensor) -> Tensor:
    """P (E, o, i, N) on x (E, i, N) → (E, o, N)."""
    return (P * x[:, None]).sum(2)


def batch_of(game: str, seeds: tuple[int, ...], generators: list[torch.Generator], copies: int, count: int) -> Game:
    """A batch for each seed, the same for its ``copies`` learning rates; members are the first axis."""
    games = [GAMES[game](count, generator) for generator in generators]
    return Game(*(torch.stack(parts).repeat(copies, *[1] * parts[0].dim()) for parts in zip(*games, strict=True)))


def losses(arm: str, p: dict[str, Tensor], game: Game) -> Tensor:
    """Mean cross-entropy of each member, (E,), in nats."""
    logits = answer(arm, p, game.told, game.asked)
    return F.cross_entropy(logits.flatten(0, 2), game.answers.flatten(), reduction="none").view(len(logits), -1).mean(1)


def train(
    game: str,
    arm: str,
    rates: tuple[float, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
    steps: int | None = None,
    batch: int = BATCH,
) -> dict[str, Tensor]:
    """Train every rate with every seed by Adam, gradients of a member clipped to length 1; members are rate-major.

    ``rates``, ``seeds``, ``steps``: default those of the game's plan.
    """
    plan = PLANS[game]
    rates, seeds, steps = rates or plan.rates, seeds or plan.seeds, steps or plan.steps
    example = GAMES[game](1, torch.Generator().manual_seed(0))
    widths = example.told.shape[-1], example.asked.shape[-1]
    p = {
        name: x.repeat(len(rates), *[1] * (x.dim() - 1)).requires_grad_()
        for name, x in start(arm, *widths, seeds).items()
    }
    generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    rate = torch.tensor(rates, dtype=torch.float32).repeat_interleave(len(seeds))
    mean, square = ({name: torch.zeros_like(x) for name, x in p.items()} for _ in range(2))
    for step in range(1, steps + 1):
        found = losses(arm, p, batch_of(game, seeds, generators, len(rates), batch))
        gradients = torch.autograd.grad(found.sum(), list(p.values()))
        long = sum(g.flatten(1).square().sum(1) for g in gradients).sqrt().clamp_min(1.0)
        now = rate * min(1.0, step / 20) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
        with torch.no_grad():
            for (name, x), g in zip(p.items(), gradients, strict=True):
                shape = [-1] + [1] * (x.dim() - 1)
                g = g / long.view(shape)
                mean[name].lerp_(g, 0.1)
                square[name].lerp_(g * g, 0.01)
                size = (square[name] / (1 - 0.99**step)).sqrt() + 1e-8
                x -= now.view(shape) * mean[name] / (1 - 0.9**step) / size
    return {name: x.detach() for name, x in p.items()}


@torch.no_grad()
def right_answers(arm: str, p: dict[str, Tensor], game: Game) -> Tensor:
    """Whether each answer of each member is right, (E, N, L), for one set of sequences (N, L, ·)."""
    members = len(p["told"])
    logits = answer(arm, p, *(x.expand(members, *x.shape) for x in (game.told, game.asked)))
    return logits.argmax(-1) == game.answers


def measures(game: str, arm: str, p: dict[str, Tensor], count: int = 1000, seed: int = 7) -> dict[str, list]:
    """Shares of right answers of each member on ``count`` test sequences.

    parity: ``short``, ``double``, ``long``: the last ten steps of streams as long as in training, twice and four times
    as long. Others: ``before`` (names told, before the swap or cue), ``again`` (told since), ``untold`` (told before
    it, not since), and ``curve``, ``untold_curve`` by step of all told names and of untold ones.
    """
    generator = torch.Generator().manual_seed(seed)
    if game == "parity":
        right = {name: right_answers(arm, p, parity(count, generator, n)) for name, n in _LENGTHS.items()}
        return {name: share(found[:, :, -10:]) for name, found in right.items()}
    made = recall(count, generator) if game == "recall" else _TURNING[game](count, generator, TURN)
    right, names = right_answers(arm, p, made), made.names
    steps = torch.arange(names.shape[1])
    told = told_since(names, 0)
    again = told_since(names, TURN)
    untold = told_since(names, 0, TURN) & ~again & (steps > TURN)
    return {
        "before": share(right, told & (steps < TURN)),
        "again": share(right, again),
        "untold": share(right, untold),
        "curve": by_step(right, told),
        "untold_curve": by_step(right, untold),
    }


def split(rows: list, size: int) -> list[list]:
    """Members as rows of ``size`` seeds, one row a learning rate."""
    return [rows[first : first + size] for first in range(0, len(rows), size)]


_LENGTHS = {"short": SHORT, "double": DOUBLE, "long": LONG}
_TURNING = {"flip": flip, "address": address}


def share(right: Tensor, where: Tensor | None = None) -> list[float]:
    """Share of True of each member, at marked places (N, L) if given."""
    where = torch.ones(right.shape[1:], dtype=torch.bool) if where is None else where
    return [round(float(x), 4) for x in (right & where).sum((1, 2)) / where.sum()]


def by_step(right: Tensor, where: Tensor) -> list[list[float | None]]:
    """The same for each step; None where fewer than 20 places are marked."""
    counts = where.sum(0)
    shares = ((right & where).sum(1) / counts.clamp_min(1)).tolist()
    return [[round(x, 4) if n >= 20 else None for x, n in zip(row, counts.tolist(), strict=True)] for row in shares]


def planned(game: str, arm: str, steps: int | None = None, to: str = str(RUNS)) -> Record:
    """The record of an arm on a game, after the steps of its plan or another number."""
    plan = PLANS[game]
    config = {
        **{"game": game, "arm": arm, "rates": list(plan.rates), "seeds": list(plan.seeds)},
        **{
            "steps": steps or plan.steps,
            "batch": BATCH,
            "width": WIDE if arm == "attention" else WIDTH,
            "names": NAMES,
        },
    }
    return Record("bench", f"rules.{game}.{arm}", 0, config, to)


def run(game: str, arm: str, steps: int | None = None, to: str = str(RUNS)) -> Record:
    """Train, choose, test and record an arm on a game; a record that is there is returned as it is."""
    record = planned(game, arm, steps, to)
    if record.result:
        return record
    torch.set_num_threads(1)
    record.begin()
    p, rates, seeds = train(game, arm, steps=steps), PLANS[game].rates, PLANS[game].seeds
    generators = [torch.Generator().manual_seed(5000 + seed) for seed in seeds]
    with torch.no_grad():
        validation = losses(arm, p, batch_of(game, seeds, generators, len(rates), 500)).view(len(rates), -1)
    validation = validation.nan_to_num(nan=math.inf)
    best = rates.index(lowest(list(rates), validation.mean(1).tolist()))
    by_rate = {name: split(x, len(seeds)) for name, x in measures(game, arm, p).items()}
    record.finish(
        status="done",
        parameters=sum(x[0].numel() for x in p.values()),
        learning_rate=rates[best],
        validation=[[round(float(x), 4) for x in row] for row in validation],
        test={name: rows[best] for name, rows in by_rate.items()},
        by_rate={name: rows for name, rows in by_rate.items() if "curve" not in name},
    )
    return record


def main(words: list[str]) -> int:
    wanted = dict(word.split("=", 1) for word in words)
    for game in GAMES:
        for arm in ARMS:
            if wanted.get("game", game) == game and wanted.get("arm", arm) == arm:
                result = run(game, arm, int(wanted.get("steps", 0)) or None, wanted.get("to", str(RUNS))).result
                short = {name: x for name, x in result["test"].items() if "curve" not in name}
                print(game, arm, result["parameters"], result["learning_rate"], short, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
