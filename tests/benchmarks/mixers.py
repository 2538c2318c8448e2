"""What each sequence mixer costs, as a ratio to softmax attention in the same model.

    python -m tests.benchmarks.mixers                      CPU: float32, two threads, 4×512 and 1×8192 tokens
    python -m tests.benchmarks.mixers --device cuda        GPU: bfloat16, compiled, 1k to 32k tokens
    python -m tests.benchmarks.mixers --only hope --shapes 4x512 --rounds 5 --profile

One table from one run. Every mixer sits in a model of 4 layers, 128 wide, 4 heads; one round runs each model once,
forward and backward, and rounds are interleaved, so that a machine that slows down slows all of them. Time is CPU time
of the whole process (on a GPU: its own events). A ratio is the median over rounds of mixer / attention per token.
Where the package titans-pytorch is installed (it is not among the requirements), its memory is a row too, one head
and one gradient a chunk.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import resource
import statistics
import subprocess
import sys
import time

import torch

from nbhelpers.models import Config, LanguageModel

WIDTH, LAYERS, HEADS, VOCABULARY = 128, 4, 4, 256

# name: (family, options of the mixer)
MODELS = {
    "attention": ("transformer", {}),
    "mamba2": ("mamba2", {}),
    "gated_deltanet": ("gated_deltanet", {}),
    "titans matrix": ("titans", {"memory": "matrix"}),
    "titans mlp": ("titans", {"memory": "mlp"}),
    "hope matrix": ("hope", {"memory": "matrix"}),
    "hope mlp": ("hope", {"memory": "mlp"}),
    "hope matrix, chunk-start read": ("hope", {"memory": "matrix", "read": "chunk_start"}),
    "hope mlp, chunk-start read": ("hope", {"memory": "mlp", "read": "chunk_start"}),
    "hope mlp, momentum": ("hope", {"memory": "mlp", "momentum": True}),
}


PUBLIC = "titans-pytorch (public)"
if importlib.util.find_spec("titans_pytorch"):
    MODELS[PUBLIC] = ("transformer", {})


class PublicTitans(torch.nn.Module):
    """The memory of titans-pytorch behind this book's call. It takes no optimizer step on a CPU with several heads."""

    def __init__(self, width: int, chunk_size: int) -> None:
        super().__init__()
        from titans_pytorch import NeuralMemory

        self.memory = NeuralMemory(dim=width, chunk_size=chunk_size, batch_size=chunk_size, heads=1)

    def forward(self, x, state=None):
        return self.memory(x)[0], {}


def build(name: str, device: str, chunk_size: int, width: int, layers: int, heads: int) -> LanguageModel:
    """The model of a row, with the MLP of the Transformer in every block, so that mixers alone differ."""
    family, options = MODELS[name]
    torch.manual_seed(0)
    config = Config(
        family, VOCABULARY, width, layers, heads, hidden=8 * round(width / 3), chunk_size=chunk_size, periods=(1,),
        mixer=options,
    )  # fmt: skip
    model = LanguageModel(config)
    if name == PUBLIC:
        for block in model.blocks:
            block.mixer = PublicTitans(width, chunk_size)
    return model.to(device)


def step(model, tokens: torch.Tensor, device: str) -> float:
    """Forward and backward once; seconds."""
    if device == "cpu":
        start = time.process_time()
        run(model, tokens)
        return time.process_time() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    with torch.autocast("cuda", torch.bfloat16):
        run(model, tokens)
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


def run(model, tokens: torch.Tensor) -> None:
    loss, _ = model.loss(tokens[:, :-1], tokens[:, 1:])
    loss.backward()
    for p in model.parameters():
        p.grad = None


def tokens_of(shape: tuple[int, int], device: str) -> torch.Tensor:
    return torch.randint(VOCABULARY, (shape[0], shape[1] + 1), generator=torch.Generator().manual_seed(0)).to(device)


def peak_memory(name: str, shape: tuple[int, int], args) -> float:
    """MB above the start of one step: on a CPU, in a process of its own."""
    if args.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(build(name, args.device, args.chunk, *args.size), tokens_of(shape, args.device), args.device)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    call = [sys.executable, "-m", "tests.benchmarks.mixers", "--memory-of", name, "--chunk", str(args.chunk)]
    call += ["--shapes", f"{shape[0]}x{shape[1]}", "--threads", str(args.threads)]
    return float(subprocess.run(call, capture_output=True, text=True, check=True).stdout)


def measure_memory(name: str, shape: tuple[int, int], args) -> float:
    """Growth of this process's peak during one step, MB."""
    model, tokens = build(name, "cpu", args.chunk, *args.size), tokens_of(shape, "cpu")
    run(model, tokens[:, :65])  # what libraries set aside on first use
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(model, tokens)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def profile(names: list[str], shape: tuple[int, int], args) -> None:
    """Where the time of one step goes."""
    for name in names:
        model, tokens = build(name, args.device, args.chunk, *args.size), tokens_of(shape, args.device)
        step(model, tokens, args.device)
        with torch.profiler.profile() as seen:
            step(model, tokens, args.device)
        key = "self_cpu_time_total" if args.device == "cpu" else "self_device_time_total"
        print(f"\n{name}, {shape[0]}x{shape[1]}\n{seen.key_averages().table(sort_by=key, row_limit=22)}")


def table(names: list[str], shape: tuple[int, int], args) -> None:
    tokens = tokens_of(shape, args.device)
    models = {name: build(name, args.device, args.chunk, *args.size) for name in names}
    if args.device != "cpu":
        for model in models.values():
            model.compile(dynamic=False)
    for model in models.values():
        step(model, tokens, args.device)
    times = {name: [] for name in names}
    for _ in range(args.rounds):
        for name, model in models.items():
            gc.collect()
            times[name].append(step(model, tokens, args.device))
    count = tokens.shape[0] * (tokens.shape[1] - 1)
    print(f"\n{shape[0]} x {shape[1]} tokens, {args.rounds} rounds")
    print(f"{'mixer':<32}{'us/token':>10}{'ratio':>8}{'from':>8}{'to':>8}{'peak MB':>10}")
    for name in names:
        ratios = sorted(a / b for a, b in zip(times[name], times["attention"], strict=True))
        memory = f"{peak_memory(name, shape, args):10.0f}" if args.memory else ""
        print(
            f"{name:<32}{1e6 * statistics.median(times[name]) / count:>10.1f}{statistics.median(ratios):>8.2f}"
            f"{ratios[0]:>8.2f}{ratios[-1]:>8.2f}{memory}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--only", nargs="*", help="rows whose name contains one of these; attention always runs")
    parser.add_argument("--shapes", nargs="*", help="batch x tokens, such as 4x512")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--size", type=int, nargs=3, default=[WIDTH, LAYERS, HEADS], metavar=("WIDTH", "LAYERS", "HEADS")
    )
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    default = ["4x512", "1x8192"] if args.device == "cpu" else ["32x1024", "16x2048", "4x8192", "1x32768"]
    shapes = [tuple(map(int, text.split("x"))) for text in args.shapes or default]
    if args.memory_of:
        print(measure_memory(args.memory_of, shapes[0], args))
        return
    names = [n for n in MODELS if n == "attention" or not args.only or any(part in n for part in args.only)]
    for shape in shapes:
        if args.profile:
            profile(names, shape, args)
        else:
            table(names, shape, args)


if __name__ == "__main__":
    main()
