"""Another format inside a file: instructions, ChatML or JSON records among Q/A pairs, conversations in prose.

Q/A, chats and router pairs are told apart by their reader, which reads each of them as what it is; here is what a
reader takes for text of its own format.
"""

from __future__ import annotations

import bisect
import re

import msgspec
import numpy as np

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.format_names import LABELS
from engine.text.readers.record import KNOWN_COLUMNS
from engine.text.source import Block, TextSource

FEWEST = 2
"""Pairs or records from which they count: a book may quote a question, an answer may show a record."""

_SPEAKERS = ("qa", "chat", "router")
_PROSE = ("text", "text-headings", "text-whole", "markdown")
_OPENINGS: dict[str, re.Pattern[bytes]] = {
    "instruction": re.compile(rb"###[ \t]*[Ii]nstruction\b"),
    "chatml": re.compile(rb"<\|im_start\|>[a-z]"),
    "jsonl": re.compile(rb"\{[ ]?\"[^\n]*\}[ \t]*$", re.MULTILINE),
    "qa": re.compile(rb"(?:Q|Question):[ \t]*[^\s][^\n]*\n(?:A|Answer):"),
    "chat": re.compile(rb"(?:User|Human):[ \t]*[^\s][^\n]*\n(?:Assistant|AI|Bot):"),
}
"""How the first line of a document of each format begins."""
_FIRST = {"#": "instruction", "<": "chatml", "{": "jsonl", "Q": "qa", "U": "chat", "H": "chat"}
"""The format that a line's first character may open."""
_FOREIGN = {
    **dict.fromkeys(_SPEAKERS, ("instruction", "chatml", "jsonl")),
    **dict.fromkeys(_PROSE, ("instruction", "chatml", "jsonl", "qa", "chat")),
    "instruction": ("chatml", "jsonl"),
    "chatml": (),
}
_WANTED = {
    foreign: np.array([chr(byte) in _FIRST and _FIRST[chr(byte)] in foreign for byte in range(256)])
    for foreign in {*_FOREIGN.values(), ()}
}
_FENCE = re.compile(rb"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)


class Mixing(Check):
    """Names the lines at which another format begins."""

    def __init__(self) -> None:
        self.format = ""
        """The format of the file."""
        self._quoted: list[tuple[int, str]] = []

    def block(self, block: Block, ledger: Ledger) -> None:
        """Only lines whose first character may open a document of another format cost time."""
        foreign = _FOREIGN.get(self.format, ())
        wanted = _WANTED[foreign]
        raw = np.frombuffer(block.data, np.uint8)
        newlines = np.flatnonzero(raw[:-1] == 10)
        starts = np.concatenate([np.zeros(1, np.int64), newlines + 1])
        candidates = np.flatnonzero(wanted[raw[starts]]) if len(raw) else starts[:0]
        places = [
            (index, kind)
            for index, offset in zip(candidates.tolist(), starts[candidates].tolist(), strict=True)
            if _opens(block.data, offset, kind := _FIRST[chr(raw[offset])])
        ]
        fences = [match.start() for match in _FENCE.finditer(block.data)] if places else []
        for index, kind in places:
            if bisect.bisect(fences, int(starts[index])) & 1:
                continue  # inside a code fence it is quoted
            self._note(kind, block.first_line + index, block.lines[index], ledger)

    def _note(self, kind: str, line: int, text: str, ledger: Ledger) -> None:
        place = (line, f"{LABELS[kind]}: {text}")
        if kind in ("instruction", "chatml") or len(self._quoted) >= FEWEST:
            ledger.add("mixed_formats", *place)
            return
        self._quoted.append(place)
        if len(self._quoted) == FEWEST:
            for one in self._quoted:
                ledger.add("mixed_formats", *one)

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """The next file begins anew."""
        self._quoted = []


def _opens(data: bytes, offset: int, kind: str) -> bool:
    match = _OPENINGS[kind].match(data, offset)
    return match is not None and (kind != "jsonl" or _is_record(match[0]))


def _is_record(line: bytes) -> bool:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(value, dict) and len({str(name).lower() for name in value} & KNOWN_COLUMNS) > 0
