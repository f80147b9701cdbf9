"""Every format that training data can have, behind one door: `read_documents`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import DataError, UsageError
from engine.text.conversation import Document
from engine.text.files import expand
from engine.text.format_names import LABELS
from engine.text.problem import FATAL, Listener, Problem
from engine.text.readers.chatml import read_chatml
from engine.text.readers.instruction import read_instructions
from engine.text.readers.json_file import read_json
from engine.text.readers.json_lines import read_json_lines
from engine.text.readers.markdown import read_markdown
from engine.text.readers.parquet import read_parquet
from engine.text.readers.prose import read_blocks, read_chapters, read_whole
from engine.text.readers.record import FIELDS, Columns
from engine.text.readers.speakers import read_speakers
from engine.text.readers.table import read_table
from engine.text.sanitize import one_line
from engine.text.sniff import Sniff, sniff
from engine.text.source import TextSource, open_table, open_text

__all__ = ["FORMATS", "LABELS", "Sniff", "expand", "open_text", "read_documents", "sniff"]

Reader = Callable[[TextSource, Listener, Columns | None], Iterator[Document]]
"""Turns an open file into documents, telling the listener what it could not place."""


def _speakers(family: str) -> Reader:
    return lambda source, report, columns: read_speakers(source, report, family)


FORMATS: dict[str, Reader] = {
    "qa": _speakers("qa"),
    "chat": _speakers("chat"),
    "router": _speakers("router"),
    "instruction": lambda source, report, columns: read_instructions(source, report),
    "chatml": lambda source, report, columns: read_chatml(source, report),
    "text": lambda source, report, columns: read_blocks(source, report),
    "text-headings": lambda source, report, columns: read_chapters(source, report),
    "text-whole": lambda source, report, columns: read_whole(source, report),
    "markdown": lambda source, report, columns: read_markdown(source, report),
    "jsonl": read_json_lines,
    "json": read_json,
    "csv": lambda source, report, columns: read_table(source, report, columns, "csv"),
    "tsv": lambda source, report, columns: read_table(source, report, columns, "tsv"),
    "parquet": read_parquet,
}
"""Names that a job or a command may give, and their readers; "auto" asks the sniffer."""


def read_documents(
    path: Path | str,
    format: str = "auto",  # noqa: A002
    *,
    columns: Columns | None = None,
    report: Listener | None = None,
) -> Iterator[Document]:
    """The documents of one file, streamed; memory does not grow with the file.

    Args:
        path: A text file, gzip or not (or Parquet).
        format: A key of FORMATS, or "auto".
        columns: Our field names to the file's own, where records name them differently: {"prompt": "frage"}.
        report: Hears of every piece of text that ends up in no document; without it the first broken record raises.

    Raises:
        DataError: the file cannot be opened or read as text, or a record is broken and nobody listens.
        UsageError: there is no such format or field.
    """
    check_format(format, columns)
    name = sniff(path).format if format == "auto" else format
    source = open_table(path) if name == "parquet" else open_text(path)
    return _closing(source, FORMATS[name](source, report or _stop_at_fatal(source.name), columns))


def check_format(format: str, columns: Columns | None = None) -> None:  # noqa: A002
    """Refuse a format or a column mapping that does not exist.

    Raises:
        UsageError: naming the nearest that does.
    """
    if format != "auto" and format not in FORMATS:
        from difflib import get_close_matches

        near = get_close_matches(format.lower(), FORMATS, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        known = ", ".join(["auto", *FORMATS])
        raise UsageError(f'There is no data format "{one_line(format, 40)}".', fix=f"{hint}Formats: {known}.")
    for field in columns or {}:
        if field not in FIELDS:
            raise UsageError(f'There is no field "{one_line(field, 40)}".', fix=f"Fields: {', '.join(FIELDS)}.")


def _closing(source: TextSource, documents: Iterator[Document]) -> Iterator[Document]:
    with source:
        yield from documents


def _stop_at_fatal(name: str) -> Listener:
    def report(problem: Problem) -> None:
        if problem.code in FATAL:
            raise DataError(
                f"This cannot be read: {one_line(problem.text, 120)}",
                fix=f"See all of it: forge-tui check {one_line(name)}",
                file=name,
                line=problem.line,
            )

    return report
