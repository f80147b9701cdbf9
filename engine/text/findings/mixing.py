"""Another format inside a file: instructions, ChatML or JSON records among Q/A pairs, conversations in prose.

Q/A, chats and router pairs are told apart by their reader, which reads each of them as what it is; here is what a
reader takes for text of its own format.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

import msgspec

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.readers.record import KNOWN_COLUMNS
from engine.text.sniff import LABELS
from engine.text.source import Block, TextSource

FEWEST = 2
"""Pairs or records from which they count: a book may quote a question, an answer may show a record."""

_SPEAKERS = ("qa", "chat", "router")
_PROSE = ("text", "text-headings", "text-whole", "markdown")
_SIGNS: dict[str, tuple[tuple[bytes, ...], re.Pattern[bytes]]] = {
    "instruction": ((b"### I", b"### i"), re.compile(rb"^###[ \t]*[Ii]nstruction\b", re.MULTILINE)),
    "chatml": ((b"<|im_start|>",), re.compile(rb"^[ \t]*<\|im_start\|>[a-z]", re.MULTILINE)),
    "jsonl": ((b'{"', b'{ "'), re.compile(rb'^[ \t]*\{ ?"[^\n]*\}[ \t]*$', re.MULTILINE)),
    "qa": ((b"Q:", b"Question:"), re.compile(rb"^(?:Q|Question):[^\n]*\S[^\n]*\n(?:A|Answer):", re.MULTILINE)),
    "chat": (
        (b"User:", b"Human:"),
        re.compile(rb"^(?:User|Human):[^\n]*\S[^\n]*\n(?:Assistant|AI|Bot):", re.MULTILINE),
    ),
}
"""For each format: what a block must hold to be looked at, and how one of its documents begins."""
_FOREIGN = {
    **dict.fromkeys(_SPEAKERS, ("instruction", "chatml", "jsonl")),
    **dict.fromkeys(_PROSE, ("instruction", "chatml", "jsonl", "qa", "chat")),
    "instruction": ("chatml", "jsonl"),
    "chatml": (),
}
_FENCE = re.compile(rb"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)


class Mixing(Check):
    """Names the lines at which another format begins."""

    def __init__(self) -> None:
        self.format = ""
        """The format of the file."""
        self._quoted: list[tuple[int, str]] = []

    def block(self, block: Block, ledger: Ledger) -> None:
        """Look for the signs in the whole block first."""
        kinds = [kind for kind in _FOREIGN.get(self.format, ()) if any(sign in block.data for sign in _SIGNS[kind][0])]
        if not kinds:
            return
        fences = [match.start() for match in _FENCE.finditer(block.data)]
        places = sorted((offset, kind) for kind in kinds for offset in _places(block.data, kind))
        number, position = block.first_line, 0
        for offset, kind in places:
            if bisect.bisect(fences, offset) & 1:
                continue  # inside a code fence it is quoted
            number += block.data.count(b"\n", position, offset)
            position = offset
            place = (number, f"{LABELS[kind]}: {block.lines[number - block.first_line]}")
            if kind not in ("instruction", "chatml") and len(self._quoted) < FEWEST:
                self._quoted.append(place)
                if len(self._quoted) == FEWEST:
                    for line, text in self._quoted:
                        ledger.add("mixed_formats", line, text)
            else:
                ledger.add("mixed_formats", *place)

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """The next file begins anew."""
        self._quoted = []


def _places(data: bytes, kind: str) -> Iterator[int]:
    """Offsets at which documents of a format begin."""
    for match in _SIGNS[kind][1].finditer(data):
        if kind != "jsonl" or _is_record(match[0]):
            yield match.start()


def _is_record(line: bytes) -> bool:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(value, dict) and len({str(name).lower() for name in value} & KNOWN_COLUMNS) > 0
