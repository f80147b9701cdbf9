"""Text that no one wrote: mostly signs, letters without vowels, one endless word, or the same over and over."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from engine.text.findings.batch import BINS, EMPTY, Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

SHORTEST = 40
"""Bytes below which a document says too little about itself."""

REPETITION_FROM = 200
"""Bytes from which repetition is judged."""

_SPACE, _SIGN, _CONSONANT, _VOWEL, _HIGH = range(1, 6)
_CLASSES = np.zeros(256, np.uint8)
for _byte in range(256):
    if _byte in b" \t\n\r\f":
        _CLASSES[_byte] = _SPACE
    elif _byte >= 0x80:
        _CLASSES[_byte] = _HIGH
    elif chr(_byte).isalpha():
        _CLASSES[_byte] = _VOWEL if chr(_byte).lower() in "aeiouy" else _CONSONANT
    elif 0x20 < _byte < 0x7F and not chr(_byte).isdigit():
        _CLASSES[_byte] = _SIGN


class Garbled(Check):
    """Judges each document by the kinds of its bytes, and the suspicious ones more closely."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Count classes of bytes for all documents at once."""
        start = batch.raw_start[batch.first_turn[:-1]]
        sizes = np.diff(batch.raw_start[batch.first_turn])
        if not (sizes >= SHORTEST).any():
            return
        classes = _CLASSES[batch.raw]
        spaces, signs, consonants, vowels, high = (
            np.add.reduceat((classes == kind).view(np.uint8), start, dtype=np.int64)
            for kind in (_SPACE, _SIGN, _CONSONANT, _VOWEL, _HIGH)
        )
        letters = consonants + vowels
        long = sizes >= SHORTEST
        latin = high < 0.2 * sizes
        noisy = long & (signs > 0.35 * sizes)
        mash = long & latin & (letters > 0.6 * sizes) & (vowels < 0.2 * letters)
        endless = (sizes >= 200) & latin & (spaces < 0.02 * sizes)
        for index in np.flatnonzero(noisy | mash | endless).tolist():
            reason = "mostly signs" if noisy[index] else "letters without vowels" if mash[index] else "hardly a space"
            document = batch.documents[index]
            text = max((turn.text for turn in document.turns), key=len)
            if not _is_code(text):
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


def _is_code(text: str) -> bool:
    """Code, tables and JSON are full of signs and are meant."""
    return (
        "```" in text or "<tool_" in text or (text.count("\n") > 3 and ("    " in text or "{" in text or "|" in text))
    )
