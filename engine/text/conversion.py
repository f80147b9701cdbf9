"""Whole files converted to another format, document by document; what a format cannot hold is counted, never bent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UsageError
from engine.text.formats import read_documents
from engine.text.problem import Problem
from engine.text.readers.record import Columns
from engine.text.writers import WRITERS, written

SHOWN = 20
"""Documents that are named when they could not be written."""


@dataclass(slots=True)
class Converted:
    """What came of one file."""

    file: str
    """As it was named."""
    documents: int = 0
    """Documents written."""
    refused: int = 0
    """Documents that the target cannot hold."""
    refused_lines: list[int] = field(default_factory=list)
    """Lines of the first SHOWN of them."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Lines that were in no document, by the code of their finding."""


def convert(
    file: str | Path,
    target: str,
    write: Callable[[str], object],
    *,
    source: str = "auto",
    columns: Columns | None = None,
) -> Converted:
    """Convert one file, streaming.

    Args:
        file: What to read.
        target: `jsonl`, `qa`, `chat` or `text`.
        write: Takes the text of each document.
        source: The format of the file, or "auto".
        columns: Our field names to the file's own.

    Raises:
        DataError: the file cannot be read.
        UsageError: there is no such target or format.
    """
    check_target(target)
    result = Converted(str(file))

    def left_out(problem: Problem) -> None:
        result.left_out[problem.code] += problem.lost

    for document in read_documents(file, source, columns=columns, report=left_out):
        text = written(document, target)
        if text is None:
            result.refused += 1
            if len(result.refused_lines) < SHOWN:
                result.refused_lines.append(document.first_line)
        else:
            write(text)
            result.documents += 1
    return result


def check_target(target: str) -> None:
    """Refuse a target that does not exist.

    Raises:
        UsageError: naming those that do.
    """
    if target not in WRITERS:
        raise UsageError(f'Text cannot be converted to "{target[:40]}".', fix=f"Choose one of: {', '.join(WRITERS)}.")


def converted_name(file: str | Path, target: str) -> str:
    """The file name for a conversion: `chat.txt` as JSON Lines is `chat.jsonl`, as Q/A `chat.qa.txt`."""
    name = Path(file).name.removesuffix(".gz")
    stem = Path(name).stem or "data"
    return f"{stem}.jsonl" if target == "jsonl" else f"{stem}.{target}.txt"
