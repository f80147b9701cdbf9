"""One JSON value a file, read piece by piece: a list of records, an object that holds one, or a single record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from engine.text.conversation import Document
from engine.text.problem import Listener, Problem
from engine.text.readers.json_lines import ROW_LIMIT, mended, reason, record_document
from engine.text.readers.pairing import SHOWN
from engine.text.readers.record import KNOWN_COLUMNS, Columns, RecordReader, holds_text
from engine.text.source import TextSource

_SPACE = re.compile(r"[ \t\n\r]*")
_NAME = r'"([^"\\]{1,80})"\s*:\s*'
_SCALAR = r'(?:"(?:[^"\\]|\\.){0,2000}"|[-+.\w]{1,40})'
_RECORDS = re.compile(r"\[\s*[\[{]")
_ABOUT = _NAME.replace("(", "(?:", 1) + _SCALAR
_WRAPPED = re.compile(r"\{\s*((?:" + _ABOUT + r"\s*,\s*){0,32})" + _NAME + r"\[\s*[\[{]")
"""An object that holds a list of records, perhaps after a few fields about them."""


def read_json(source: TextSource, report: Listener, columns: Columns | None) -> Iterator[Document]:
    """The records of a JSON file. After a syntax error the rest is reported and left out."""
    reader = RecordReader(source.name, "json", report, columns)
    for record, first, last in _Values(source, report, columns).records():
        document = record_document(reader, record, first, last, report)
        if document is not None:
            yield document


class _Values:
    """Cuts a JSON text into its records while it streams by."""

    def __init__(self, source: TextSource, report: Listener, columns: Columns | None) -> None:
        self._report = report
        self._blocks = source.blocks()
        self._decoder = json.JSONDecoder()
        self._record_names = KNOWN_COLUMNS | set((columns or {}).values())
        self._text = ""
        self._position = 0
        self._line = 1
        self._ended = False

    def records(self) -> Iterator[tuple[Any, int, int]]:
        """Each record with its first and last line."""
        listed = wrapped = False
        try:
            while self._skip_space():
                character = self._text[self._position]
                if character == ("," if listed else "["):
                    listed = True
                    self._position += 1
                elif listed and character == "]":
                    listed = False
                    self._position += 1
                elif not listed and character in ",}":
                    self._position += 1
                    if wrapped and character == ",":
                        self._next_field()
                    wrapped = wrapped and character == ","
                elif not listed and self._enter_wrapper():
                    listed = wrapped = True
                else:
                    first = self._line
                    yield from self._unwrapped(self._value(), first)
        except (ValueError, RecursionError) as problem:
            self._give_up(problem)
            return
        if listed:
            self._report(Problem("bad_json", self._line, "the list has no end", 1))

    def _unwrapped(self, value: Any, first: int) -> Iterator[tuple[Any, int, int]]:
        """Records inside an object that is none itself: {"train": [...], "test": [...]}."""
        if isinstance(value, dict) and not self._record_names & value.keys():
            lists = {
                name: item
                for name, item in value.items()
                if isinstance(item, list) and item and isinstance(item[0], (dict, list))
            }
            if lists:
                self._leave_out(first, [name for name, item in value.items() if name not in lists and holds_text(item)])
                for record in (record for item in lists.values() for record in item):
                    yield record, first, self._line
                return
        yield value, first, self._line

    def _enter_wrapper(self) -> bool:
        """Step into {"name": [ {...}, so that a long list of records inside an object streams too."""
        if len(self._text) - self._position < (1 << 19):
            return False
        match = _WRAPPED.match(self._text, self._position)
        if match is None:
            return False
        about = re.findall(_NAME, match[1])
        if self._record_names & {match[2], *about}:
            return False
        self._leave_out(self._line, about)
        self._advance(match.end() - 1)
        return True

    def _next_field(self) -> None:
        """Inside an object around lists of records: up to the next list, or past a field that is none."""
        self._skip_space()
        line, name = self._line, self._value()
        if not isinstance(name, str) or not self._skip_space() or self._text[self._position] != ":":
            raise ValueError("a name and a colon must follow the comma")
        self._position += 1
        self._skip_space()
        if len(self._text) - self._position < 80:
            self._fill(80)
        if not _RECORDS.match(self._text, self._position) and holds_text(self._value()):
            self._leave_out(line, [name])

    def _leave_out(self, line: int, names: list[str]) -> None:
        if names:
            self._report(Problem("unused_fields", line, ", ".join(names)))

    def _value(self) -> Any:
        """The value at the position; reads on, twice as much each time, while it is incomplete."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._position)
            except (ValueError, RecursionError):
                if self._ended or len(self._text) - self._position > ROW_LIMIT:
                    raise
                self._fill(2 * (len(self._text) - self._position))
                continue
            if end == len(self._text) and not self._ended and not isinstance(value, (dict, list, str)):
                self._fill(len(self._text) - self._position + 64)  # a number may go on
                continue
            self._advance(end)
            return mended(value)

    def _skip_space(self) -> bool:
        while True:
            match = _SPACE.match(self._text, self._position)
            self._advance(match.end() if match else self._position)
            if self._position < len(self._text):
                return True
            if not self._fill(1):
                return False

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._position, end)
        self._position = end

    def _fill(self, wanted: int) -> bool:
        """Read on until `wanted` characters lie ahead; False when there is nothing more."""
        pieces = [self._text[self._position :]]
        self._position = 0
        size = len(pieces[0])
        more = False
        while size < wanted and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            more = True
            pieces.append(block.text if block.open else block.text + "\n")
            size += len(pieces[-1])
        self._text = "".join(pieces)
        return more

    def _give_up(self, problem: Exception) -> None:
        line, shown = self._line, self._text[self._position : self._position + SHOWN]
        cut = not self._ended and len(self._text) - self._position > ROW_LIMIT
        if isinstance(problem, json.JSONDecodeError):
            line += self._text.count("\n", self._position, problem.pos)
            shown = self._text[max(self._position, problem.pos - 40) : problem.pos + 40]
        self._advance(len(self._text))
        for block in self._blocks:
            self._line += len(block.lines) - block.open
        code = "row_too_long" if cut and isinstance(problem, ValueError) else "bad_json"
        self._report(Problem(code, line, f"{reason(problem)}: {shown}", max(self._line - line, 1)))
