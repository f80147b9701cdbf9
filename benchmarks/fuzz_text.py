"""Damaged files through every reader, the linter, the repair and the conversion: prints what fails, and the slowest.

    python benchmarks/fuzz_text.py --inputs 100000 [--first 0] [--seed 1] [--keep DIR] [--seconds 240]

Input N of a seed is always the same file, so pieces add up: --first 20000 --inputs 20000 is the second fifth. An input
is a real file of one of the formats with its bytes, or its JSON values, changed, or is put together of what the
readers look for. The checks are those of the tests (tests/engine/text/damaged.py): no crash, no hang, at most
2 s a megabyte, and every text of the file is in a document or told of.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.engine.text.damaged import damaged, try_input  # noqa: E402  the repository's own folder

HANG_SECONDS = 60
"""Of the processor; then the traceback is printed and the process ends."""


def main() -> int:
    """Run the inputs; 1 when one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fail")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time of the processor")
    args = parser.parse_args()
    failed, slowest, started, number = 0, (0.0, 0), time.process_time(), args.first
    faulthandler.register(signal.SIGPROF, chain=True)
    with tempfile.TemporaryDirectory() as folder:
        try_input(0, 0, Path(folder))  # the imports are no part of the time
        for number in range(args.first, args.first + args.inputs):
            signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
            try:
                slowest = max(slowest, (try_input(number, args.seed, Path(folder)), number))
            except Exception as problem:  # noqa: BLE001  whatever it is, it is what we look for
                failed += 1
                where = traceback.extract_tb(problem.__traceback__)[-1]
                print(
                    f"input {number}: {type(problem).__name__} {problem} ({where.filename}:{where.lineno})", flush=True
                )
                if args.keep is not None:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    (args.keep / f"failed-{args.seed}-{number}").write_bytes(damaged(number, args.seed)[0])
            if number % 1000 == 999:
                print(f"input {number}, {time.process_time() - started:.0f} s", file=sys.stderr, flush=True)
            if time.process_time() - started > args.seconds:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
    done = number - args.first + 1
    print(
        f"inputs {args.first} to {number} of seed {args.seed}: {done:,} tried, {failed:,} failed, "
        f"{time.process_time() - started:.0f} s; the slowest step: {slowest[0]:.2f} s a megabyte (input {slowest[1]})"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
