"""CSV and TSV with a header: one record a row. Quoted fields may hold line ends."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from engine.errors import DataError
from engine.text.conversation import Document
from engine.text.problem import Listener, Problem
from engine.text.readers.json_lines import record_document
from engine.text.readers.pairing import SHOWN
from engine.text.readers.record import KNOWN_COLUMNS, Columns, RecordReader
from engine.text.sanitize import one_line
from engine.text.source import TextSource

FIELD_LIMIT = 8 << 20
"""Characters of one field; more means a quote that is never closed."""

DELIMITERS = ",;\t|"


def read_table(source: TextSource, report: Listener, columns: Columns | None, name: str) -> Iterator[Document]:
    """The rows of a table whose first row names the columns; rows with too many fields are reported and skipped.

    Raises:
        DataError: no column has a known name.
    """
    csv.field_size_limit(FIELD_LIMIT)
    reader = RecordReader(source.name, name, report, columns)
    rows = _Rows(source, name, report)
    header = next(rows, None)
    if header is None:
        return
    names = [field.strip() for field in header]
    _check_header(names, columns, source.name)
    for row in rows:
        if not any(field.strip() for field in row):
            continue
        if len(row) > len(names) and any(field.strip() for field in row[len(names) :]):
            shown = f"{len(row)} fields where the header names {len(names)}: {' | '.join(row)[:SHOWN]}"
            report(Problem("bad_row", rows.first_line, shown, rows.last_line - rows.first_line + 1))
            continue
        record = {key: value for key, value in zip(names, row, strict=False) if value}
        document = record_document(reader, record, rows.first_line, rows.last_line, report)
        if document is not None:
            yield document


def delimiter_of(header: str, name: str) -> str:
    """The delimiter of a header line: a tab for TSV, otherwise the one that makes the most known column names."""
    if name == "tsv":
        return "\t"

    def known(delimiter: str) -> tuple[int, int]:
        fields = [field.strip().strip('"').lower() for field in header.split(delimiter)]
        return len(set(fields) & KNOWN_COLUMNS), len(fields)

    return max(DELIMITERS, key=known)


class _Rows:
    """Rows with the lines they stand on; a row that cannot be parsed is reported and skipped."""

    def __init__(self, source: TextSource, name: str, report: Listener) -> None:
        self.first_line = 0
        self.last_line = 0
        self._report = report
        self._lines = self._numbered(source)
        self._header = next((line for line in self._lines if line.strip()), "")
        self._delimiter = delimiter_of(self._header, name)
        self._first = True
        # Not a generator: dropping one after an error would close the lines that it reads from.
        self._rows = csv.reader(chain([self._header], self._lines), delimiter=self._delimiter)

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> list[str]:
        while True:
            self.first_line = self.last_line + (0 if self._first else 1)
            self._first = False
            try:
                return next(self._rows)
            except csv.Error as problem:
                lost = self.last_line - self.first_line + 1
                self._report(Problem("bad_row", self.first_line, str(problem)[:SHOWN], lost))
                self._rows = csv.reader(self._lines, delimiter=self._delimiter)

    def _numbered(self, source: TextSource) -> Iterator[str]:
        for block in source.blocks():
            number = block.first_line - 1
            for index, line in enumerate(block.lines):
                self.last_line = number = number + 1
                yield line if block.open and index == len(block.lines) - 1 else line + "\n"


def _check_header(names: list[str], columns: Columns | None, file: str) -> None:
    wanted = {value.lower() for value in (columns or {}).values()} | KNOWN_COLUMNS
    if not {name.lower() for name in names} & wanted:
        shown = one_line(", ".join(names), 100)
        example = f"--columns prompt={one_line(names[0] if names else 'NAME', 20)} --columns completion=NAME"
        raise DataError(
            f"No column has a known name; the header is: {shown}.",
            fix=f"Say what they are and convert it: forge-tui check FILE {example} --convert jsonl",
            file=file,
            line=1,
        )
