"""Text that no one wrote: mostly signs, letters without vowels, one endless word, or the same over and over."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from engine.text.conversation import Document
from engine.text.findings.batch import BINS, EMPTY, Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

SHORTEST = 40
"""Bytes below which a document says too little about itself."""

REPETITION_FROM = 200
"""Bytes from which repetition is judged."""

_SIGN, _VOWEL, _OTHER = b"s", b"v", b"o"


def _class(byte: int) -> bytes:
    character = chr(byte)
    if character in "aeiouyAEIOUY":
        return _VOWEL
    return _SIGN if 0x20 < byte < 0x7F and not character.isalnum() else _OTHER


_CLASSES = b"".join(map(_class, range(256)))
_LETTERS = bytes(byte for byte in range(128) if chr(byte).isalpha())
_HIGH = bytes(range(0x80, 0x100))
_BLANK = b" \t\n\r\f"


class Garbled(Check):
    """Judges each document by the kinds of its bytes, and the suspicious ones more closely."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Count signs and vowels for all documents at once."""
        bounds = batch.raw_start[batch.first_turn]
        sizes = np.diff(bounds)
        long = sizes >= SHORTEST
        if not long.any():
            return
        classes = np.frombuffer(batch.raw.tobytes().translate(_CLASSES), np.uint8)
        signs, vowels = (
            np.diff(np.searchsorted(np.flatnonzero(classes == ord(kind)), bounds)) for kind in (_SIGN, _VOWEL)
        )
        noisy = long & (signs > 0.35 * sizes)
        strange = long & ((vowels < 0.2 * sizes) | (batch.document_words < 0.03 * sizes))
        for index in np.flatnonzero(noisy | strange).tolist():
            document = batch.documents[index]
            reason = "mostly signs" if noisy[index] else _reason(document, int(vowels[index]))
            text = max((turn.text for turn in document.turns), key=len)
            if reason and not _is_code(text):
                ledger.add("garbled", document.first_line, f"{reason}: {text[:120]}")
        self._repetition(batch, sizes, ledger)

    def _repetition(self, batch: Batch, sizes: npt.NDArray[np.int64], ledger: Ledger) -> None:
        """Few different shingles for many words: worth packing, to see how small the text gets."""
        bins = (batch.least != EMPTY).sum(axis=1)
        different = -BINS * np.log(np.maximum(1 - bins / BINS, 1e-3))
        words = batch.document_words
        suspicious = (
            (sizes >= REPETITION_FROM) & ((different < 0.4 * words) | (words < sizes / 100)) & (different < 300)
        )
        for index in np.flatnonzero(suspicious).tolist():
            document = batch.documents[index]
            text = max((turn.text for turn in document.turns), key=len)
            sample = text[:20000].encode("utf-8", "replace")
            if len(sample) >= REPETITION_FROM and len(zlib.compress(sample, 1)) < 0.12 * len(sample) + 12:
                ledger.add("repetitive", document.first_line, text[:120])


def _reason(document: Document, vowels: int) -> str:
    """Why a document with few vowels or few words looks garbled; empty when it does not."""
    data = " ".join([turn.text for turn in document.turns]).encode("utf-8", "replace")
    high = len(data) - len(data.translate(None, _HIGH))
    if high >= 0.2 * len(data):
        return ""  # not a Latin script
    letters = len(data) - len(data.translate(None, _LETTERS))
    if letters > 0.6 * len(data) and vowels < 0.2 * letters:
        return "letters without vowels"
    blanks = len(data) - len(data.translate(None, _BLANK))
    return "hardly a space" if len(data) >= REPETITION_FROM and blanks < 0.02 * len(data) else ""


def _is_code(text: str) -> bool:
    """Code, tables and JSON are full of signs and are meant."""
    return (
        "```" in text or "<tool_" in text or (text.count("\n") > 3 and ("    " in text or "{" in text or "|" in text))
    )
