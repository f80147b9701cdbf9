"""The tool dialect: tags that balance, JSON that parses, fields that are right, results that answer a call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec
import numpy as np

from engine.text.conversation import Document, Turn
from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

SHOWN = 200
"""Characters of a text that a finding gets."""

_TAG = re.compile(r"<(/?)tool_(call|result)>")
_TAG_BYTES = re.compile(rb"</?tool_(?:call|result)>")


class Tools(Check):
    """Checks every tool tag of a conversation."""

    def __init__(self) -> None:
        self.calls = 0
        """Tool calls seen."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Only documents that hold a tag cost time."""
        if batch.documents[0].is_prose:
            return
        data = batch.raw.tobytes()
        places = [match.start() for match in _TAG_BYTES.finditer(data)] if b"tool_" in data else []
        turns = np.searchsorted(batch.raw_start, places, side="right") - 1
        for index in np.unique(np.searchsorted(batch.first_turn, turns, side="right") - 1).tolist():
            self._document(batch.documents[index], ledger)

    def _document(self, document: Document, ledger: Ledger) -> None:
        called = False
        for turn in document.turns:
            if "tool_" not in turn.text:
                continue
            lines = _Lines(turn)
            if turn.role in ("user", "system"):
                match = _TAG.search(turn.text)
                if match:
                    ledger.add("tool_role", lines.at(match.start()), _around(turn.text, match.start()))
                continue
            for kind, body, offset in _bodies(turn, lines, ledger):
                line = lines.at(offset)
                if kind == "result" and not called:
                    ledger.add("tool_order", line, body[:SHOWN])
                called = kind == "call" or called
                self.calls += kind == "call"
                _check_json(kind, body, line, ledger)


class _Lines:
    """Lines of places in a turn; cheap when they are asked for in order."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._offset = self._line = 0
        if turn.last_line > turn.first_line:
            # A turn whose text begins on the line after its marker has one line more than its text shows.
            self._line = max(turn.last_line - turn.first_line - turn.text.count("\n"), 0)

    def at(self, offset: int) -> int:
        """The line that holds the character at `offset`."""
        turn = self._turn
        if turn.last_line == turn.first_line:
            return turn.first_line
        if offset >= self._offset:
            self._line += turn.text.count("\n", self._offset, offset)
        else:
            self._line -= turn.text.count("\n", offset, self._offset)
        self._offset = offset
        return min(turn.first_line + self._line, turn.last_line)


def _bodies(turn: Turn, lines: _Lines, ledger: Ledger) -> Iterator[tuple[str, str, int]]:
    """What stands between the tags of a turn; unbalanced tags are noted."""
    text = turn.text
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            if opened is not None:
                ledger.add("tool_tags", lines.at(opened.start()), _around(text, opened.start()))
            opened = tag
        elif opened is None or opened[2] != tag[2]:
            ledger.add("tool_tags", lines.at(tag.start()), _around(text, max(tag.start() - 60, 0)))
            opened = None
        else:
            yield tag[2], text[opened.end() : tag.start()], opened.start()
            opened = None
    if opened is not None:
        ledger.add("tool_tags", lines.at(opened.start()), _around(text, opened.start()))


def _around(text: str, start: int) -> str:
    return text[start : start + SHOWN]


def _check_json(kind: str, body: str, line: int, ledger: Ledger) -> None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        try:
            json.loads(body)
        except (ValueError, RecursionError) as problem:
            reason = problem.msg if isinstance(problem, json.JSONDecodeError) else "nested too deeply"
            ledger.add("tool_json", line, f"{reason}: {body[:SHOWN].strip()}")
        return
    wrong = fields_wrong(kind, value)
    if wrong:
        ledger.add("tool_fields", line, f"{wrong}: {body[:SHOWN].strip()}")


def fields_wrong(kind: str, value: object) -> str:
    """What is wrong with the fields of a call or a result, in words; empty when nothing is.

    A call has `tool` (a string) and `params` (an object). A result has `success` (true or false), and `result` or
    `error` may follow; other fields are allowed in a result.
    """
    if not isinstance(value, dict):
        return "not an object"
    if kind == "call":
        if not isinstance(value.get("tool"), str) or not value["tool"]:
            return '"tool" must be a name'
        if not isinstance(value.get("params"), dict):
            return '"params" must be an object'
        extra = value.keys() - {"tool", "params", "id"}
        return f'unknown field "{sorted(extra)[0]}"' if extra else ""
    if not isinstance(value.get("success"), bool):
        return '"success" must be true or false'
    if not value["success"] and not any(key in value for key in ("error", "result")):
        return 'a failure needs "error"'
    return ""
