"""Signs that somebody else holds the rights to a text."""

from __future__ import annotations

import re

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import Block

_LITERALS = ("opyright", "OPYRIGHT", "ights reserved", "IGHTS RESERVED", "ISBN", "©")
_IN_BYTES = tuple(literal.encode() for literal in _LITERALS)
_IN_ASCII = tuple(literal for literal in _IN_BYTES if literal.isascii())
_NOTICE = re.compile(
    r"(?:copyright|©)[ \t]{0,4}(?:\(c\)|©)?[ \t]{0,4}(?:by[ \t]{1,4})?\d{4}|©[ \t]{0,4}\w.{0,40}\d{4}"
    r"|\(c\)[ \t]{0,4}(?:copyright)?[ \t]{0,4}\d{4}|all rights reserved|\bISBN(?:-1[03])?:?[ \t]{0,4}[\d\-]{10,20}",
    re.IGNORECASE,
)


class Rights(Check):
    """Counts lines that hold a copyright notice or a book number."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Look for the words in the whole block first."""
        if not any(literal in block.data for literal in (_IN_ASCII if block.text.isascii() else _IN_BYTES)):
            return
        for number, line in enumerate(block.lines, block.first_line):
            if any(literal in line for literal in _LITERALS) and _NOTICE.search(line):
                ledger.add("copyright", number, line)
