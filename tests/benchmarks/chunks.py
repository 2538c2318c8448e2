"""What loop, chunk form and softmax attention cost on one CPU thread: the records that the chapter on chunks shows.

    python -m tests.benchmarks.chunks                  five records ``bench-chunks-s0`` to ``s4`` in data/runs
    python -m tests.benchmarks.chunks --to /some/folder

One record is one round: every measurement once, in an order drawn from the seed, on tokens drawn from the seed. Time is
processor time, the least of three calls after a first one that does not count; the first call of a loop, which takes
seconds, is a short one. Sequences of a shape are read together, so that the number of tokens is the same for all.

The loop is timed in two ways, since torch multiplies many small matrices with one vector each slowly: with such
products, as the package has it, and with the same sums written out, in place. A comparison takes the faster of the two.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.core.records import RUNS, Record

CONFIG: dict[str, Any] = {
    "tokens": 4096,
    "widths": [64, 128, 256],  # against the loop
    "lengths": [512, 1024, 2048, 4096],
    "loops": ["products", "sums"],
    "chunk_size": 64,
    "width": 64,  # of the two measurements below
    "chunk_sizes": [4, 16, 64, 256, 1024, 4096],
    "attention": [256, 1024, 4096, 16384],  # lengths, one sequence each
    "product": 1024,  # side of the matrices whose product counts as the machine's best
}


def tokens(count: int, length: int, width: int, generator: torch.Generator) -> list[Tensor]:
    """Queries and keys of length one, values, write strength, retention from 0.9 to 1: (sequences, 1, length, …)."""
    shape = (count // length, 1, length)
    q, k, v = torch.randn(3, *shape, width, generator=generator)
    b, a = torch.rand(2, *shape, generator=generator)
    return [F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, b, 0.9 + 0.1 * a]


def loop_of_sums(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """The answers of ``ops.delta_rule_sequential`` from an empty memory, without products of a matrix and a vector.

    The memory is changed in place: space asked for anew at every token would cost a time that has nothing to do with
    the rule.
    """
    memory, answers = v.new_zeros(*v.shape[:2], v.shape[-1], k.shape[-1]), []
    product = torch.empty_like(memory)
    for t in range(k.shape[2]):
        key, query = k[:, :, t, None, :], q[:, :, t, None, :]
        error = torch.mul(memory, key, out=product).sum(-1) - v[:, :, t]
        memory.addcmul_((b[:, :, t, None] * error)[..., None], key, value=-1)
        answers.append(torch.mul(memory, query, out=product).sum(-1))
    return torch.stack(answers, 2)


LOOPS: dict[str, Callable[..., Any]] = {"products": ops.delta_rule_sequential, "sums": loop_of_sums}


def seconds(call: Callable[[], Any], times: int = 3) -> float:
    """Processor time of one call: the least of ``times``."""
    found = []
    for _ in range(times):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return min(found)


def measurements(config: Mapping[str, Any], seed: int) -> dict[str, Callable[[], float]]:
    """Name of each measurement → what runs it."""
    g, size = torch.Generator().manual_seed(seed), config["chunk_size"]
    jobs = {}

    def twice(call):
        call()
        return seconds(call)

    for width in config["widths"]:
        for length in config["lengths"]:
            q, k, v, b, _ = tokens(config["tokens"], length, width, g)
            few = [x[:, :, :8] for x in (q, k, v, b)]

            def loop(name, given=(q, k, v, b), few=few):
                LOOPS[name](*few)
                return seconds(lambda: LOOPS[name](*given))

            for name in config["loops"]:
                jobs[f"{name}/{width}/{length}"] = lambda loop=loop, name=name: loop(name)
            jobs[f"chunks/{width}/{length}"] = lambda given=(q, k, v, b): twice(
                lambda: ops.delta_rule(*given, chunk_size=size)
            )
    q, k, v, b, _ = tokens(config["tokens"], config["tokens"], config["width"], g)
    for chunk in config["chunk_sizes"]:
        jobs[f"chunk_size/{chunk}"] = lambda given=(q, k, v, b), chunk=chunk: twice(
            lambda: ops.delta_rule(*given, chunk_size=chunk)
        )
    for length in config["attention"]:
        given = tokens(length, length, config["width"], g)
        jobs[f"gated/{length}"] = lambda given=given: twice(lambda: ops.gated_delta_rule(*given, chunk_size=size))
        jobs[f"attention/{length}"] = lambda given=given: twice(
            lambda: F.scaled_dot_product_attention(*given[:3], is_causal=True)
        )
    matrix = torch.randn(config["product"], config["product"], generator=g)
    jobs["product"] = lambda: twice(lambda: matrix @ matrix)
    return jobs


@torch.no_grad()
def measure(seed: int, config: Mapping[str, Any] = CONFIG, to: str | Path = RUNS) -> Record:
    """One round as a record: ``seconds`` by name of the measurement."""
    record = Record("bench", "chunks", seed, config, to).begin()
    torch.set_num_threads(1)
    jobs = measurements(config, seed)
    order = list(jobs)
    random.Random(seed).shuffle(order)
    found = {name: jobs[name]() for name in order}
    record.finish(status="done", seconds={name: found[name] for name in jobs})
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", default=RUNS, help="folder of records")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for seed in range(args.rounds):
        print(measure(seed, to=args.to).id)


if __name__ == "__main__":
    main()
