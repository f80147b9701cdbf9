"""Documents that share most of their text: MinHash over short shingles, in tables of a fixed size.

One-permutation hashing (Li, Owen and Zhang, 2012): a shingle's hash names one of BINS bins and a value, and a document
is remembered by the least value of each bin. Two documents that share a part J of their shingles agree in about J of
the bins. Candidates agree in all bins of one of the bands; they are then compared in all bins.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.text.findings.batch import BINS, EMPTY, Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

BAND = 4
"""Bins that must agree for two documents to be compared."""
BANDS = 8
"""Bands that are looked up: of the pairs that agree in 80 % of the bins 98.5 % meet in one of them."""
ALIKE = 0.8
"""Share of equal bins from which two documents count as nearly the same."""
FEWEST_WORDS = 8
"""Words below which a document is not compared: two short questions are easily alike."""
REMEMBERED = 1 << 18
"""Documents that are remembered; the oldest make room."""

Signatures = npt.NDArray[np.uint8]

_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


class NearDuplicates(Check):
    """Finds documents that are alike but not equal."""

    def __init__(self, files: list[str], remembered: int = REMEMBERED) -> None:
        self._files = files
        self._remembered = remembered
        self._signatures = np.zeros((remembered, BINS), np.uint8)
        self._hashes = np.zeros(remembered, np.uint64)
        self._lines = np.zeros(remembered, np.uint32)
        self._file_of = np.zeros(remembered, np.uint16)
        self._bands = np.zeros((BANDS, remembered), np.uint32)  # 1 + number of the last document with that band
        self._next = 0
        self.file = 0
        """Index of the file that is being read."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Compare every document with what was seen, and with the others of its batch."""
        keep = np.flatnonzero(batch.document_words >= FEWEST_WORDS)
        if not len(keep):
            return
        least = _filled(batch.least[keep])
        banded = least[:, : BANDS * BAND].astype(np.uint64).reshape(-1, BANDS, BAND)
        bands = (banded * _MULTIPLIERS).sum(axis=2, dtype=np.uint64)
        bands ^= bands >> np.uint64(31)
        signatures = (least >> np.uint32(11)).astype(np.uint8)
        for start in range(0, len(keep), self._remembered):
            part = slice(start, start + self._remembered)
            self._compare(batch, keep[part], signatures[part], bands[part], ledger)

    def _compare(
        self,
        batch: Batch,
        keep: npt.NDArray[np.int64],
        signatures: Signatures,
        bands: npt.NDArray[np.uint64],
        ledger: Ledger,
    ) -> None:
        count = len(keep)
        numbers = self._next + np.arange(count)
        own = numbers % self._remembered
        self._signatures[own] = signatures
        self._hashes[own] = batch.document_hashes[keep]
        self._lines[own] = np.minimum(batch.first_lines[keep], 0xFFFFFFFF)
        self._file_of[own] = min(self.file, 0xFFFF)
        self._next += count
        best = np.zeros(count)
        partner = np.full(count, -1)
        for band in range(BANDS):
            slots = (bands[:, band] % np.uint64(self._remembered)).astype(np.int64)
            other = self._bands[band, slots].astype(np.int64) - 1
            order = np.argsort(slots, kind="stable")
            same = slots[order[1:]] == slots[order[:-1]]
            other[order[1:][same]] = numbers[order[:-1][same]]  # the one before it in this batch
            self._bands[band, slots] = ((numbers + 1) & 0xFFFFFFFF).astype(np.uint32)
            mine = np.flatnonzero((other >= 0) & (other > numbers - self._remembered))
            if not len(mine):
                continue
            theirs = other[mine] % self._remembered
            alike = (signatures[mine] == self._signatures[theirs]).mean(axis=1)
            alike[self._hashes[own[mine]] == self._hashes[theirs]] = 0.0  # equal documents have their own finding
            better = alike > best[mine]
            best[mine[better]], partner[mine[better]] = alike[better], theirs[better]
        for index in np.flatnonzero(best >= ALIKE).tolist():
            document = batch.documents[int(keep[index])]
            other_place = int(partner[index])
            where = self._where(int(self._file_of[other_place]), int(self._lines[other_place]))
            shown = f"{100 * best[index]:.0f} % as {where}: {document.turns[0].text[:120]}"
            ledger.add("near_duplicate", document.first_line, shown)

    def _where(self, file: int, line: int) -> str:
        if file == self.file:
            return f"line {line}"
        name = self._files[file] if file < len(self._files) else "an earlier file"
        return f"{name}:{line}"


def _filled(least: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Few shingles leave bins empty: an empty bin borrows from its left neighbour (Shrivastava and Li, 2014)."""
    twice = np.concatenate([least, least], axis=1)
    own = np.arange(2 * BINS)
    nearest = np.maximum.accumulate(np.where(twice == EMPTY, 0, own), axis=1)[:, BINS:]
    distance = (own[BINS:] - nearest).astype(np.uint32)
    return np.asarray(np.take_along_axis(twice, nearest, axis=1) + distance * np.uint32(0x9E3779B1))
