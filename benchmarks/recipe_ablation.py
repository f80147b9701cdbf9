"""What each part of the recipe buys: the same job with one part switched off at a time.

    python benchmarks/recipe_ablation.py DATA... --judge TEXT... [--size nano] [--epochs 12] [--seeds 3] [--only PART]

Every row is a real `forge-tui --batch` on the given text files; prints the bits per byte that the published model needs
for the texts to judge by (the mean over the seeds), how much worse that is than with everything on, how far apart the
seeds are, and what the runs' own validation said. Judge by at least 100 kB that are in none of the files: a run's own
validation is a twentieth of little text, and scatters. Only bits per byte are compared: several may run side by side,
each on its own core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from batch_run import bits_per_byte, run_batch

PARTS: dict[str, tuple[str, ...]] = {
    "all of it": (),
    "no averaging": ("train.average=0",),
    "weight decay 0.1": ("train.weight_decay=0.1",),
    "AdamW, at its own rate": ("train.optimizer=adamw",),
    "tokens whole": ("train.bpe_dropout=0",),
    "rows whole from the start": ("train.length_warmup=0",),
    "warm-up of 2 %": ("train.warmup=0.02",),
    "4,096 tokens a step": ("train.batch_size=16", "train.gradient_accumulation=1"),
    "half the rate": ("train.optimizer=muon", "train.learning_rate=0.005"),
    "twice the rate": ("train.optimizer=muon", "train.learning_rate=0.02"),
    "no averaging, weight decay 0.1": ("train.average=0", "train.weight_decay=0.1"),
    "classic": ("train.preset=classic", "train.batch_size=4", "train.gradient_accumulation=1"),
}
"""Name of a row and what it sets, on text so short that a step has 1,024 tokens.

Whole tokens matter where there are six epochs and more, whole rows where there are two or fewer. "classic" is AdamW at
1e-4 as the training guide has it, with our batch.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run."""

    judged: float
    """Bits per byte of the texts to judge by."""
    validation: float
    """Bits per byte of the best step on what the run held out."""
    seconds: float


def train(
    files: list[Path], judges: list[Path], size: str, epochs: int, seed: int, settings: tuple[str, ...]
) -> Outcome:
    """Train once in a project of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = json.dumps([str(file.resolve()) for file in files])
        job = (
            f'[model]\nname = "model"\nsize = "{size}"\n[data]\nfiles = {names}\n'
            f"[train]\nepochs = {epochs}\nsequence_length = 256\nseed = {seed}\n[eval]\nprompts = []\n"
        )
        events, seconds = run_batch(root, job, settings)
        judged = bits_per_byte(root, "model", judges)
    return Outcome(judged, min(event["val_bpb"] for event in events if event["event"] == "eval"), seconds)


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--judge", nargs="+", type=Path, required=True)
    parser.add_argument("--size", default="nano")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(f"{options.size}, {options.epochs} epochs of {', '.join(file.name for file in options.data)}")
    print("| part | bits/byte | difference | from seed to seed | own validation | seconds |")
    print("|---|---|---|---|---|---|")
    whole: float | None = None
    for name in options.only:
        seeds = range(1337, 1337 + options.seeds)
        runs = [train(options.data, options.judge, options.size, options.epochs, seed, PARTS[name]) for seed in seeds]
        judged = statistics.mean(run.judged for run in runs)
        spread = max(run.judged for run in runs) - min(run.judged for run in runs)
        whole = judged if whole is None else whole
        own, seconds = statistics.mean(run.validation for run in runs), statistics.mean(run.seconds for run in runs)
        print(
            f"| {name} | {judged:.3f} | {judged - whole:+.3f} | {spread:.3f} | {own:.3f} | {seconds:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
