"""Plain output for people and scripts: stdout carries data, stderr narration; nothing breaks when nobody listens."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from engine.text.sanitize import sanitize


def put(text: str = "") -> None:
    """A line of data on stdout."""
    print(sanitize(text), flush=True)


def say(text: str) -> None:
    """A line of narration on stderr; a terminal that is gone is no reason to stop."""
    try:
        print(sanitize(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


def is_terminal(stream: TextIO) -> bool:
    """Whether lines on `stream` may be rewritten in place."""
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    except ValueError:
        return False


def width(stream: TextIO) -> int:
    """Columns of the terminal behind `stream`."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def put_table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Aligned columns on stdout, two spaces apart.

    Args:
        rows: The first one is the head.
        right: Columns whose cells are aligned to the right.
    """
    cells = [[sanitize(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        line = [
            cell.rjust(size) if at in right else cell.ljust(size)
            for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        put("  ".join(line).rstrip())


def put_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values below each other on stdout; further lines of a value are indented as the first."""
    size = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *rest = sanitize(value).split("\n")
        put(f"{name.ljust(size)}  {first}".rstrip())
        for line in rest:
            put(f"{' ' * size}  {line}".rstrip())
