"""Text that was decoded once with the wrong encoding: `â€™` for an apostrophe, `√©` for an e with an acute accent.

Each UTF-8 byte of a character shows as one character of the wrong encoding. A run that encodes back to valid UTF-8 of
the right shape is almost never meant: the lead and continuation bytes must all be there.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import Block

CODECS = ("cp1252", "mac_roman", "latin-1", "cp437", "cp850")
"""Encodings that UTF-8 is mistaken for, the commonest first."""


def _table(codec: str) -> dict[str, int]:
    """Character to byte; the bytes that cp1252 leaves open decode to themselves, as browsers and editors do."""
    table = {}
    for byte in range(0x80, 0x100):
        try:
            table[bytes([byte]).decode(codec)] = byte
        except UnicodeDecodeError:
            table[chr(byte)] = byte
    return table


_TABLES = {codec: _table(codec) for codec in CODECS}


def _pattern(codec: str) -> str:
    table = _TABLES[codec]

    def members(first: int, last: int) -> str:
        return "[" + "".join(re.escape(char) for char, byte in table.items() if first <= byte <= last) + "]"

    tail = members(0x80, 0xBF)
    return "|".join(
        (
            f"{members(0xC2, 0xDF)}{tail}",
            f"{members(0xE0, 0xEF)}{tail}{{2}}",
            f"{members(0xF0, 0xF4)}{tail}{{3}}",
        )
    )


_RUNS = {codec: re.compile(f"(?:{_pattern(codec)})+") for codec in CODECS}
_ANY = re.compile("|".join(f"(?:{_pattern(codec)})" for codec in CODECS))
_FOREIGN = re.compile("[^\x00-\x7f]{2,}")


def repaired(text: str) -> str:
    """`text` with every run of mojibake replaced by what it was; unchanged when there is none."""
    if not _may_hold(text):
        return text
    for codec in CODECS:
        text = _RUNS[codec].sub(lambda match, codec=codec: _restored(match, codec), text)  # type: ignore[misc]
    return text


def _may_hold(text: str) -> bool:
    return not text.isascii() and any(_ANY.search(run[0]) for run in _FOREIGN.finditer(text))


def _restored(match: re.Match[str], codec: str) -> str:
    run = match[0]
    table = _TABLES[codec]
    try:
        restored = bytes(table[char] for char in run).decode("utf-8")
    except UnicodeDecodeError:
        return run
    return restored if _believable(run, restored, match.string, match.start(), match.end(), codec) else run


def _believable(run: str, restored: str, text: str, start: int, end: int, codec: str) -> bool:
    """Whether the restored text is likelier than the run as it stands."""
    if any(unicodedata.category(char) in ("Cn", "Co", "Cs", "Cc") and char != "\x85" for char in restored):
        return False
    if len(restored) > 1:
        return True  # two characters or more whose bytes are all in the right order
    if len(run) == 4:
        return restored >= "\U0001f000"
    if len(run) == 3:
        # Accents before closing quotes make other three-byte sequences in ordinary French and Portuguese.
        return "\u2000" <= restored < "\u2800" or "\u2900" <= restored < "\u2c00" or restored in "\ufeff\ufffd"
    before, after = text[start - 1 : start], text[end : end + 1]
    if "\xc0" <= restored <= "\u017f" and restored.isalpha():
        inside = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        if codec in ("cp437", "cp850"):
            return inside and restored <= "\xff"
        if run[0] in "Ã√":
            return inside or run[1] not in "±"
        return after.isascii() and after.isalpha() if not run[1].isalnum() else inside
    return run[0] in "Â¬┬" and restored in "\xa0£§©«®°´·»¿¡"


class Mojibake(Check):
    """Counts lines that hold mojibake, and shows what they were."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Only lines with two characters beyond ASCII side by side can hold some."""
        if block.text.isascii():
            return
        raw = np.frombuffer(block.data, np.uint8)
        beside = np.flatnonzero((raw[1:] >= 0xC2) & (raw[:-1] >= 0x80))
        if not len(beside):
            return
        newlines = np.flatnonzero(raw == 10)
        for index in np.unique(np.searchsorted(newlines, beside)).tolist():
            line = block.lines[index]
            better = repaired(line)
            if better != line:
                first = next(place for place, (a, b) in enumerate(zip(line, better, strict=False)) if a != b)
                start = max(first - 20, 0)
                text = f"{line[start : first + 30]} → {better[start : first + 30]}"
                ledger.add("mojibake", block.first_line + index, text)
