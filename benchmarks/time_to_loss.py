"""The same time for everybody: bits per byte of held-out text after so many minutes, from a cold start.

    python benchmarks/time_to_loss.py FILE... [--minutes 2 5 15] [--size nano]

Ours is `forge-tui --batch` with `max_time`, from the command to its end: Python's start, the tokenizer, the rehearsal
and saving are in it. Beside it a Hugging Face Trainer with a Qwen3 model of the same shape and a GPT-2 model of as many
parameters, each with the best of a sweep of learning rates; its schedule is planned for the time, its start-up and its
tokenizer (ours) are free. A last row gives ours a fifth of the longest time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from peers import (
    RATES,
    Judge,
    Text,
    peer_model,
    print_table,
    rows_of,
    text_of,
    train_ours,
    train_peer,
)

from engine.text.tokenizer import Tokenizer


def main() -> int:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description="Equal wall time, three trainers.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 5.0, 15.0])
    parser.add_argument("--size", default="nano")
    parser.add_argument("--peers", nargs="+", default=["qwen3", "gpt2"])
    parser.add_argument(
        "--rates", type=float, nargs="+", default=list(RATES), help="learning rates of the peers' sweeps"
    )
    args = parser.parse_args()
    text = text_of(args.files)
    table = [["minutes", "ours (took)", *(f"Trainer, {peer} (best rate)" for peer in args.peers), "better by"]]
    with tempfile.TemporaryDirectory() as folder:
        for minutes in [*args.minutes, max(args.minutes) / 5]:
            alone = minutes not in args.minutes
            table.append(measure(Path(folder), text, minutes, args.size, [] if alone else args.peers, args.rates))
            print(" · ".join(table[-1]), flush=True)
    print_table([[*row, *[""] * (len(table[0]) - len(row))] for row in table])
    return 0


def measure(folder: Path, text: Text, minutes: float, size: str, peers: list[str], rates: list[float]) -> list[str]:
    """One row."""
    ours = train_ours(folder / f"{minutes:g}", text, size, f"train.max_time={minutes * 60:.0f}s", "train.epochs=1000")
    tokenizer = Tokenizer.load(ours.folder)
    judge = Judge(tokenizer, text.held_out)
    score = judge.ours(ours.folder)
    row, others = [f"{minutes:g}", f"{score:.3f} ({ours.seconds:.0f} s)"], []
    rows = rows_of(tokenizer, text.train) if peers else []
    for peer in peers:
        tried = []
        for rate in rates:
            model = peer_model(peer, size, tokenizer.vocabulary)
            train_peer(model, rows, rate, seconds=minutes * 60)
            tried.append((judge(model), rate))
        others.append(min(tried)[0])
        row.append(f"{min(tried)[0]:.3f} ({min(tried)[1]:g})")
    return [*row, f"{min(others) - score:.3f}"] if others else row


if __name__ == "__main__":
    raise SystemExit(main())
