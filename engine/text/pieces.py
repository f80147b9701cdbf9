"""A stretch of a training file taken apart: its documents, and the lines that are in none, in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import DataError
from engine.text.conversation import Document
from engine.text.problem import Problem
from engine.text.readers.record import Columns
from engine.text.source import text_source

_STRUCTURE = re.compile(r'[\s\[\]{},]*(?:"[^"]{0,80}"\s*:\s*\[?\s*\{?\s*)?')
"""A line of JSON around the records."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as it is read, or lines that are in none."""

    first_line: int
    """1-based, within its piece."""
    last_line: int
    document: Document | None = None
    """None for lines that are in no document."""
    text: str = ""
    """These lines."""
    problem: str = ""
    """Code of the finding that says why they are in none; empty for comments."""
    torn: bool = False
    """Whether they are part of a document that is too long to be shown as one."""
    notes: tuple[Problem, ...] = ()
    """What the reader said about the document."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the file."""

    index: int
    start: int
    """Offset in bytes."""
    end: int
    entries: tuple[Entry, ...]
    lines: int


def as_text(data: bytes) -> str:
    """Bytes as text with newlines; what is not UTF-8 becomes U+FFFD."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def entries_of(
    text: str,
    header: str,
    format: str,  # noqa: A002
    name: str,
    columns: Columns | None = None,
) -> tuple[list[Entry], int]:
    """The documents of a piece of text and the lines that are in none, in order; and the number of lines.

    Args:
        text: Whole documents of a file.
        header: Lines that the reader needs before them (a table's column names), or nothing.
        format: A key of formats.FORMATS.
        name: The file's name.
        columns: Our field names to the file's own.
    """
    from engine.text.formats import FORMATS  # brings all readers: who only looks at pieces does not need them

    problems: list[Problem] = []
    documents: list[Document] = []
    try:
        source = text_source(header + text, name)
        documents += FORMATS[format](source, problems.append, columns)
    except DataError as error:
        problems.append(Problem("unreadable", 1, error.text))
    shift = header.count("\n")
    lines = text.removesuffix("\n").split("\n")
    reasons = {problem.line - shift + step: problem.code
               for problem in reversed(problems) if problem.code != "comment"
               for step in range(min(problem.lost, len(lines)))}  # fmt: skip
    entries: list[Entry] = []
    at = 1
    for document in sorted(documents, key=lambda found: found.first_line):
        first, last = document.first_line - shift, document.last_line - shift
        entries += _left_out(lines, at, first, reasons, format)
        notes = tuple(problem for problem in problems if first <= problem.line - shift <= last)
        entries.append(Entry(first, max(first, last), document, notes=notes))
        at = max(at, last + 1)
    entries += _left_out(lines, at, len(lines) + 1, reasons, format)
    return entries, len(lines)


def _left_out(lines: list[str], start: int, end: int, reasons: dict[int, str], format: str) -> list[Entry]:  # noqa: A002
    """Lines from `start` to before `end` that are in no document, blank ones at their edges left away."""
    found: list[Entry] = []
    group: list[int] = []

    def close() -> None:
        while group and not lines[group[-1] - 1].strip():
            group.pop()
        if group:
            text = "\n".join(lines[number - 1] for number in group)
            problem = next((reasons[number] for number in group if number in reasons), "")
            found.append(Entry(group[0], group[-1], text=text, problem=problem))
        group.clear()

    for number in range(start, min(end, len(lines) + 1)):
        line = lines[number - 1]
        if format == "json" and (not line.strip(" \t]},") or (number not in reasons and _STRUCTURE.fullmatch(line))):
            continue
        if group and reasons.get(number, "") != reasons.get(group[-1], "") and line.strip():
            close()
        if group or line.strip():
            group.append(number)
    close()
    return found
