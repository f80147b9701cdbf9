"""Little text: what the program makes of it by itself, beside the classic preset and a tuned Hugging Face Trainer.

    python benchmarks/small_data.py FILE... [--kilobytes 50 200 1000] [--size nano]

For each amount: `forge-tui --batch` with `epochs = "auto"`; the same job with `preset = "classic"`; and a Trainer with
a Qwen3 model of the same shape, its learning rate swept and its best epoch chosen afterwards, by the held-out text. All
are judged by bits per byte of the same held-out documents, which none of them trained on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from peers import RATES, Judge, peer_model, print_table, rows_of, text_of, train_ours, train_peer

from engine.text.tokenizer import Tokenizer


def main() -> int:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description="Little text, three trainers.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--size", default="nano")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=list(RATES), help="learning rates of the peer's sweep"
    )
    args = parser.parse_args()
    table = [["text", "epochs", "ours", "classic preset", "Trainer, tuned", "our time", "its time, once"]]
    for kilobytes in args.kilobytes:
        table.append(measure(args.files, kilobytes, args.size, args.rates))
        print(" · ".join(table[-1]), flush=True)
    print_table(table)
    return 0


def measure(files: list[Path], kilobytes: int, size: str, rates: list[float]) -> list[str]:
    """One row."""
    text = text_of(files, kilobytes * 1000)
    with tempfile.TemporaryDirectory() as folder:
        ours = train_ours(Path(folder) / "ours", text, size, "train.epochs=auto")
        classic = train_ours(
            Path(folder) / "classic", text, size, "train.preset=classic", f"train.epochs={ours.epochs}"
        )
        tokenizer = Tokenizer.load(ours.folder)
        judge = Judge(tokenizer, text.held_out)
        rows = rows_of(tokenizer, text.train)
        best: list[tuple[float, float]] = []
        for rate in rates:
            model = peer_model("qwen3", size, tokenizer.vocabulary)
            seen: list[float] = []
            seconds = train_peer(
                model,
                rows,
                rate,
                epochs=ours.epochs,
                each_epoch=lambda model=model, seen=seen: seen.append(judge(model)),
            )
            best.append((min([*seen, judge(model)]), seconds))
        score, seconds = min(best)
        return [
            f"{kilobytes} kB", str(ours.epochs), f"{judge.ours(ours.folder):.3f}", f"{judge.ours(classic.folder):.3f}",
            f"{score:.3f}", f"{ours.seconds:.0f} s", f"{seconds:.0f} s",
        ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
