"""What each part of the recipe buys: the same job with one part switched off at a time.

    python benchmarks/recipe_ablation.py DATA... [--size nano] [--epochs 12] [--seeds 3] [--only NAME...]

Every row is a real `forge-tui --batch` on the given text files; prints the validation bits per byte of the model that
is published (the mean over the seeds), the last one of the run, how much worse it is than with everything on, and
how far apart the seeds are. Only bits per byte are compared, so several may run side by side, each on its own core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from batch_run import run_batch

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

    published: float
    """Bits per byte of the best step on held-out text."""
    last: float
    seconds: float


def train(files: list[Path], size: str, epochs: int, seed: int, settings: tuple[str, ...]) -> Outcome:
    """Train once in a project of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = json.dumps([str(file.resolve()) for file in files])
        job = (
            f'[model]\nname = "model"\nsize = "{size}"\n[data]\nfiles = {names}\n'
            f"[train]\nepochs = {epochs}\nsequence_length = 256\nseed = {seed}\n[eval]\nprompts = []\n"
        )
        events, seconds = run_batch(root, job, settings)
    scores = [event["val_bpb"] for event in events if event["event"] == "eval"]
    return Outcome(min(scores), scores[-1], seconds)


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--size", default="nano")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(f"{options.size}, {options.epochs} epochs of {', '.join(file.name for file in options.data)}")
    print("| part | val bits/byte, published | at the end | difference | from seed to seed | seconds |")
    print("|---|---|---|---|---|---|")
    whole: float | None = None
    for name in options.only:
        runs = [train(options.data, options.size, options.epochs, 1337 + n, PARTS[name]) for n in range(options.seeds)]
        published = statistics.mean(run.published for run in runs)
        spread = max(run.published for run in runs) - min(run.published for run in runs)
        whole = published if whole is None else whole
        last, seconds = statistics.mean(run.last for run in runs), statistics.mean(run.seconds for run in runs)
        print(
            f"| {name} | {published:.3f} | {last:.3f} | {published - whole:+.3f} | {spread:.3f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
