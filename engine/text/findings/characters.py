"""Characters that do not belong into text: controls, reordering, invisible and replacement characters, line ends."""

from __future__ import annotations

import re

import numpy as np

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import Block, TextSource

CONTROLS = "\x01-\x08\x0b\x0e-\x1f\x7f\x80-\x9f\u2028\u2029"
"""C0 without tab, newline and form feed; DEL; C1; the Unicode line separators."""

BIDI = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates: text that reads differently than it is stored."""

INVISIBLE = "\u00ad\u180e\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
"""Nothing to see; a joiner (U+200C, U+200D) is needed in some scripts and stays."""

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "</s>", "<|eot_id|>", "[INST]")

_SPECIAL_SIGNS = (b"<|", b"</s>", b"[INST]")
"""What a text must hold to hold one of them."""

_ODD_ASCII = bytes([*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F])
_KINDS = (
    ("nul", re.compile("\0")),
    ("control", re.compile(f"[{CONTROLS}]")),
    ("bidi", re.compile(f"[{BIDI}]")),
    ("invisible", re.compile(f"[{INVISIBLE}]")),
    ("replacement", re.compile("\ufffd")),
)


class Characters(Check):
    """Counts lines with odd characters, byte order marks and line ends."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Look at the whole block first; single lines only where it holds something."""
        data = block.data
        clean = len(data.translate(None, _ODD_ASCII)) == len(data)
        if clean and (block.text.isascii() or not _odd_beyond_ascii(data)):
            return
        for number, line in enumerate(block.lines, block.first_line):
            if line.isascii() and line.isprintable():
                continue
            for code, pattern in _KINDS:
                match = pattern.search(line)
                if match is not None:
                    start = max(match.start() - 20, 0)
                    ledger.add(code, number, f"U+{ord(match[0]):04X} in {line[start : match.end() + 40]}")

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """What the source counted while it cleaned the lines."""
        if source.boms:
            ledger.add("bom", 1, count=source.boms)
        plain = max(source.lines - source.crlf - source.cr, 0)
        if source.crlf or source.cr:
            kinds = {"\\r\\n": source.crlf, "\\r": source.cr, "\\n": plain if plain > 1 else 0}
            detail = " and ".join(f"{count:,} end in {kind}" for kind, count in kinds.items() if count)
            ledger.add("line_ends", count=source.crlf + source.cr, detail=detail)
        if source.long_lines:
            ledger.add("long_line", count=source.long_lines)
        if source.changed:
            ledger.add("changed")


def _odd_beyond_ascii(data: bytes) -> bool:
    """Whether UTF-8 text may hold a character of _KINDS beyond ASCII, by the first three bytes of each character."""
    raw = np.frombuffer(data + b"  ", np.uint8)
    places = np.flatnonzero(raw >= 0xC2)
    first, second, third = raw[places], raw[places + 1], raw[places + 2]
    latin = (first == 0xC2) & ((second < 0xA0) | (second == 0xAD))
    signs = (first == 0xE2) & (
        ((second == 0x80) & ((third == 0x8B) | ((third >= 0xA8) & (third <= 0xAE))))
        | ((second == 0x81) & (third >= 0xA0) & (third <= 0xA9))
    )
    marks = (first == 0xEF) & (((second == 0xBB) & (third == 0xBF)) | ((second == 0xBF) & (third >= 0xB9)))
    others = ((first == 0xE1) & (second == 0xA0) & (third == 0x8E)) | ((first == 0xF3) & (second == 0xA0))
    return bool((latin | signs | marks | others).any())


class SpecialTokens(Check):
    """Special tokens that stand in the text: ours are trained as text there, and a reader may stumble over others."""

    def __init__(self) -> None:
        self.format = ""
        """The format of the file, whose own markers are none."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Look for each token in the whole block first."""
        if not any(sign in block.data for sign in _SPECIAL_SIGNS):
            return
        tokens = [token for token in SPECIAL_TOKENS if token.encode() in block.data]
        if self.format == "chatml":
            tokens = [token for token in tokens if not token.startswith("<|")]
        if not tokens:
            return
        for number, line in enumerate(block.lines, block.first_line):
            if any(token in line for token in tokens) and line.strip() != "<|endoftext|>":
                ledger.add("special_token", number, line)
