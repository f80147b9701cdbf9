"""JSON Lines: one record a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.text.conversation import Document
from engine.text.problem import Listener, Problem
from engine.text.readers.pairing import SHOWN
from engine.text.readers.record import Columns, RecordReader, ShapeError
from engine.text.source import TextSource

ROW_LIMIT = 8 << 20
"""Characters of one record; a longer one is reported and skipped."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json_lines(source: TextSource, report: Listener, columns: Columns | None) -> Iterator[Document]:
    """The records of a JSON Lines file; a line that is none is reported and skipped."""
    reader = RecordReader(source.name, "jsonl", report, columns)
    pieces: list[str] = []
    size = first = 0
    for block in source.blocks():
        number = block.first_line - 1
        for line in block.lines:
            number += 1
            if block.open or pieces:
                first = first if pieces else number
                size += len(line)
                pieces.append(line if size <= ROW_LIMIT else "")
                if block.open:
                    continue
                line, pieces = "".join(pieces), []
                if size > ROW_LIMIT:
                    report(Problem("row_too_long", first, line[:SHOWN], 1))
                    line = ""
                size = 0
            if not line.strip():
                continue
            try:
                record = decode(line)
            except (ValueError, RecursionError) as problem:
                report(Problem("bad_json", number, f"{reason(problem)}: {line[:SHOWN]}", 1))
                continue
            document = record_document(reader, record, number, number, report)
            if document is not None:
                yield document


def record_document(reader: RecordReader, record: object, first: int, last: int, report: Listener) -> Document | None:
    """The document of one record; a shape that is not known is reported."""
    try:
        return reader.document(record, first, last)
    except (ShapeError, RecursionError) as problem:
        report(Problem("json_shape", first, str(problem)[:SHOWN], last - first + 1))
        return None


def decode(line: str) -> Any:
    """The value of one JSON text.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError):
        # The standard library takes a little more (NaN, lone surrogates) and says better what is wrong.
        return mended(json.loads(line))


def mended(value: Any) -> Any:
    """`value` with lone surrogates, which no file can hold, replaced by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    return value


def reason(problem: Exception) -> str:
    """Why a JSON text cannot be read, in a few words."""
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at column {problem.colno}"
    return str(problem)[:80]
