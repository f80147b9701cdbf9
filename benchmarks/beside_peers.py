"""Tokens a second and peak memory of a training step, beside a plain Hugging Face Trainer and LitGPT of equal shapes.

    python benchmarks/beside_peers.py [--sizes nano micro tiny small] [--runs 3] [--seconds 15] [--compile]

Everybody trains in a process of its own, in turn: ours with Muon and with AdamW in the environment of a worker, the
Trainer with its default AdamW in the environment of the shell, in fp32 and, where the processor is fast in it, in
bfloat16 as well; LitGPT, where it is installed, in the faster of the two, compiled, as it always is. Same vocabulary,
rows, length and threads; ours takes the precision that a run would choose here, and with `--compile` its step is
compiled, as `compile = "auto"` does in long runs. The speed is that of the median step, the table has the median of the
runs, the factors are to the fastest of the others.

Needs `pip install transformers accelerate`, and `pip install litgpt` for LitGPT.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Literal

import peers
import torch
from litgpt_steps import litgpt_steps
from throughput import ROWS, SEQUENCE_LENGTH, VOCABULARY, placement_of, training_step

from engine.model.architecture import Architecture
from engine.processor import cpu_does_bf16, physical_cores, processor_name
from engine.runs.environment import SETTINGS
from engine.sizes import SIZES
from engine.training.optimizer import Rule

OURS: dict[str, Rule] = {"ours, Muon": "muon", "ours, AdamW": "adamw"}
SKIPPED = 3
"""Steps that are not counted: allocations, caches, compiling."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else's training."""

    trainer: Literal["Trainer", "LitGPT"]
    bf16: bool

    def times(self, size: str, seconds: float) -> list[float]:
        """Seconds of each step."""
        if self.trainer == "Trainer":
            return _trainer(size, seconds, self.bf16)
        return litgpt_steps(size, seconds, bf16=self.bf16, skipped=SKIPPED)


PEERS = {"Trainer, fp32": Peer("Trainer", bf16=False)}
if cpu_does_bf16():
    PEERS["Trainer, bf16"] = Peer("Trainer", bf16=True)
if importlib.util.find_spec("litgpt"):
    PEERS["LitGPT"] = Peer("LitGPT", bf16=cpu_does_bf16())
KINDS = (*OURS, *PEERS)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["nano", "micro", "tiny", "small"], choices=list(ROWS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each run")
    parser.add_argument("--compile", action="store_true", help="ours, as in runs of five minutes and more in bf16")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(physical_cores())
        print(json.dumps(_measured(*arguments.one, arguments.seconds, compiled=arguments.compile)))
        return 0
    print(
        f"{processor_name()}, {physical_cores()} threads, torch {torch.__version__}, rows of {SEQUENCE_LENGTH} tokens"
    )
    table = [["size", *(f"{kind}: tokens/s, MB" for kind in KINDS), "faster by"]]
    for size in arguments.sizes:
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        for _ in range(arguments.runs):
            for kind in KINDS:
                found[kind].append(_run(kind, size, arguments.seconds, compiled=arguments.compile))
        speeds = {kind: statistics.median(speed for speed, _ in runs) for kind, runs in found.items()}
        memory = {kind: statistics.median(peak for _, peak in runs) for kind, runs in found.items()}
        cells = [f"{speeds[kind]:,.0f}, {memory[kind]:,.0f}" for kind in KINDS]
        best = max(speeds[kind] for kind in PEERS)
        factors = [f"{speeds[kind] / best:.2f}" for kind in OURS]
        table.append([size, *cells, " and ".join(factors)])
        print(" · ".join(table[-1]), flush=True)
    peers.print_table(table)
    return 0


def _run(kind: str, size: str, seconds: float, *, compiled: bool) -> tuple[float, float]:
    environment = dict(os.environ) if kind in PEERS else os.environ | SETTINGS
    command = [sys.executable, "-W", "ignore", __file__, "--one", kind, size, "--seconds", str(seconds)]
    command += ["--compile"] * compiled
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    speed, peak = json.loads(done.stdout.splitlines()[-1])
    return speed, peak


def _measured(kind: str, size: str, seconds: float, *, compiled: bool) -> tuple[float, float]:
    """Tokens a second of the median step, and the most memory that the process has had in megabytes."""
    if kind in PEERS:
        times = PEERS[kind].times(size, seconds)
    else:
        times = _ours(size, OURS[kind], seconds, compiled=compiled)
    step = statistics.median(times[SKIPPED:])
    return ROWS[size] * SEQUENCE_LENGTH / step, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _ours(size: str, rule: Rule, seconds: float, *, compiled: bool) -> list[float]:
    step = training_step(SIZES[size].dimensions, rule, ROWS[size], placement_of("auto"), compiled=compiled)
    times: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(times) <= SKIPPED + 2:
        began = time.monotonic()
        step()
        times.append(time.monotonic() - began)
    return times


def _trainer(size: str, seconds: float, bf16: bool) -> list[float]:
    from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainerCallback, TrainingArguments

    config = Architecture.of(SIZES[size].dimensions, VOCABULARY, SEQUENCE_LENGTH).to_config()
    model = Qwen3ForCausalLM(Qwen3Config(**config))
    ids = torch.randint(0, VOCABULARY, (ROWS[size] * 16, SEQUENCE_LENGTH)).tolist()
    rows = [{"input_ids": row, "labels": row} for row in ids]
    times: list[float] = []

    class Watch(TrainerCallback):  # type: ignore[misc]
        began = 0.0

        def on_step_begin(self, *arguments: Any, **more: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, arguments: Any, state: Any, control: Any, **more: Any) -> None:
            times.append(time.monotonic() - self.began)
            if sum(times) > seconds and len(times) > SKIPPED + 2:
                control.should_training_stop = True

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=ROWS[size], learning_rate=1e-4, max_steps=100_000,
            max_grad_norm=1.0, use_cpu=True, bf16=bf16, save_strategy="no", report_to="none", disable_tqdm=True,
            logging_strategy="no", seed=0,
        )  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[Watch()]).train()
    return times


if __name__ == "__main__":
    sys.exit(main())
