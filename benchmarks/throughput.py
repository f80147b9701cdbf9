"""Training speed of nano, tiny and small beside the machine's own matrix-product peak, measured in the same run.

    python benchmarks/throughput.py [--sizes nano tiny small] [--seconds 8] [--precision fp32] [--compile]

For each size: tokens a second of whole training steps (forward, backward, clipping, AdamW) and the share of the peak
that the step's floating point operations reach. The peak is measured twice: a large square product (the machine's
best), and the products of this very step in their own shapes (what the step could reach if nothing else took time).
The precision is the one that a run would choose here, unless another one is named; `--compile` compiles the step, as
`compile = "auto"` does in long runs.
Run it alone: one busy neighbour halves the figures.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch

from engine.job import TrainSection
from engine.model.architecture import Architecture
from engine.model.transformer import Decoder
from engine.processor import physical_cores, processor_name
from engine.runs.environment import SETTINGS
from engine.sizes import SIZES, Dimensions
from engine.training.compiling import CompiledLoss, Loss
from engine.training.devices import Placement, place
from engine.training.optimizer import Optimizer, Rule, products_of

VOCABULARY = 4096
SEQUENCE_LENGTH = 512
ROWS = dict.fromkeys(("nano", "micro", "tiny", "mini", "small"), 8)
"""4,096 tokens a step, the most that the recipe takes on a processor."""


def rate(seconds: float, work: float, body: object) -> float:
    """Operations a second of `body`, called for `seconds` after a warm-up; the best of five slices."""
    body()  # type: ignore[operator]
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 5:
            body()  # type: ignore[operator]
            calls += 1
        best = max(best, calls * work / (time.perf_counter() - start))
    return best


def square_peak(seconds: float, dtype: torch.dtype) -> float:
    """Operations a second of a 2048 x 2048 product."""
    left, right = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
    return rate(seconds, 2 * 2048**3, lambda: left @ right)


def shapes_of(dims: Dimensions, tokens: int) -> list[tuple[int, int, int, int]]:
    """(times, m, k, n) of the forward products of a step; the backward pass does each twice more."""
    qkv = 64 * (dims.heads + 2 * dims.kv_heads)
    return [
        (dims.layers, tokens, dims.dim, qkv),
        (dims.layers, tokens, 64 * dims.heads, dims.dim),
        (dims.layers, tokens, dims.dim, 2 * dims.ffn),
        (dims.layers, tokens, dims.ffn, dims.dim),
        (1, tokens, dims.dim, VOCABULARY),
    ]


def own_peak(dims: Dimensions, tokens: int, seconds: float, dtype: torch.dtype) -> float:
    """Operations a second when the step's own products (forward and both backward ones) run alone."""
    work = total = 0.0
    shapes = shapes_of(dims, tokens)
    for times, m, k, n in shapes:
        inputs, weight, gradient = (torch.randn(*shape, dtype=dtype) for shape in ((m, k), (n, k), (m, n)))

        def once(inputs=inputs, weight=weight, gradient=gradient) -> None:  # type: ignore[no-untyped-def]
            inputs @ weight.T
            gradient @ weight
            gradient.T @ inputs

        speed = rate(seconds / len(shapes), 6 * m * k * n, once)
        work += times * 6 * m * k * n
        total += times * 6 * m * k * n / speed
    return work / total


def placement_of(precision: str) -> Placement:
    """The processor, in this precision or in the one that a run would choose."""
    return place(TrainSection(device="cpu", mixed_precision=precision))  # type: ignore[arg-type]


def training_step(
    dims: Dimensions, rule: Rule, rows: int, placement: Placement, *, compiled: bool = False
) -> Callable[[], None]:
    """A whole training step on tokens drawn at random, to be called again and again."""
    architecture = Architecture.of(dims, VOCABULARY, SEQUENCE_LENGTH)
    decoder = Decoder(architecture)
    decoder.init_weights(torch.Generator().manual_seed(0))
    optimizer = Optimizer(decoder, architecture, rule, weight_decay=0.1, placement=placement)
    optimizer.set_rate(1e-4)
    scaler = torch.amp.GradScaler(enabled=False)
    loss_of: Loss = decoder.loss
    if compiled:
        loss_of = CompiledLoss(decoder, lambda event: None)
        loss_of.warm(rows, SEQUENCE_LENGTH, placement)
    ids = torch.randint(0, VOCABULARY, (rows, SEQUENCE_LENGTH))
    weights = torch.ones(rows, SEQUENCE_LENGTH)

    def step() -> None:
        with placement.autocast():
            loss = loss_of(ids, ids, weights) / ids.numel()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step(scaler)
        optimizer.zero_grad()

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["nano", "tiny", "small"], choices=list(ROWS))
    parser.add_argument("--optimizer", default="muon", choices=["muon", "adamw"])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each figure")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="as runs of five minutes and more do in bf16")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    placement = placement_of(arguments.precision)
    dtype = products_of(placement.precision)
    how = arguments.optimizer + ", compiled" * arguments.compile
    print(f"{processor_name()}, {arguments.threads} threads, torch {torch.__version__}, {platform.python_version()}")
    print(f"vocabulary {VOCABULARY}, rows of {SEQUENCE_LENGTH} tokens, {placement.precision}, {how}")
    peak = square_peak(arguments.seconds, dtype)
    print(f"peak of a 2048 x 2048 product: {peak / 1e9:.0f} GFLOP/s\n")
    print(f"{'size':<7}{'rows':>5}{'tokens/s':>11}{'GFLOP/s':>10}{'of peak':>9}{'of own shapes':>15}")
    for name in arguments.sizes:
        dims, rows = SIZES[name].dimensions, ROWS[name]
        step = training_step(dims, arguments.optimizer, rows, placement, compiled=arguments.compile)
        speed = rate(arguments.seconds, rows * SEQUENCE_LENGTH, step)
        own = own_peak(dims, rows * SEQUENCE_LENGTH, arguments.seconds, dtype)
        flops = speed * dims.flops_per_token(VOCABULARY, SEQUENCE_LENGTH)
        print(
            f"{name:<7}{rows:>5}{speed:>11,.0f}{flops / 1e9:>10.0f}{flops / peak:>9.0%}{flops / own:>15.0%}",
            flush=True,
        )


if __name__ == "__main__":
    import os
    import sys

    if not os.environ.get("OMP_WAIT_POLICY"):
        # The settings of a worker are read when torch is loaded: start again with them.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SETTINGS)
    main()
