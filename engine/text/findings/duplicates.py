"""The same document twice, in one file or across files, and one question with different answers."""

from __future__ import annotations

import re
import zlib

import numpy as np
import numpy.typing as npt

from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.findings.sketch import SeenTable

REMEMBERED = 1 << 21
"""Documents that are remembered."""


_GIST_BITS = 24
_GIST_MASK = np.uint64((1 << _GIST_BITS) - 1)
_NUMBER = re.compile(rb"[0-9]+(?:[.,][0-9]+)*")
_SIGNS_OF_CODE = b"`[({="
_YES, _NO = (b"yes", b"correct", b"true"), (b"no,", b"no.", b"no ", b"not ", b"false", b"wrong")


def gist(answer: bytes) -> int:
    """What can contradict in an answer, in 24 bits: yes or no in the two upper ones, and a hash of its numbers."""
    opinion = 1 if answer.startswith(_YES) else 2 if answer.startswith(_NO) else 0
    # In a long answer or in code a number is rarely what the question was about.
    plain = len(answer) <= 160 and len(answer.translate(None, _SIGNS_OF_CODE)) == len(answer)
    numbers = sorted(set(_NUMBER.findall(answer))) if plain else []
    return (opinion << 22) | ((zlib.crc32(b" ".join(numbers)) & 0x3FFFFF or 1) if numbers else 0)


def contradicts(first: int, second: int) -> bool:
    """Whether two answers, by their gists, say yes and no, or name different numbers."""
    opinions = {(first >> 22) & 3, (second >> 22) & 3}
    numbers = (first & 0x3FFFFF, second & 0x3FFFFF)
    return opinions == {1, 2} or (all(numbers) and numbers[0] != numbers[1])


class Duplicates(Check):
    """Finds documents that are equal but for case and white space."""

    def __init__(self, files: list[str], remembered: int = REMEMBERED) -> None:
        self._files = files
        self._documents = SeenTable(remembered)
        self._questions = SeenTable(remembered // 2)
        self.file = 0
        """Index of the file that is being read."""
        self.repeated = 0
        self._count = 0
        """Documents that were there before."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Look the whole batch up at once."""
        lines = batch.first_lines
        hashes = batch.document_hashes
        seen, _, old_lines, old_files = self._documents.first_seen(hashes, hashes, lines, self.file)
        self._count += len(batch.documents)
        self.repeated += int(seen.sum())
        for index in np.flatnonzero(seen).tolist():
            where = self._where(int(old_files[index]), int(old_lines[index]))
            document = batch.documents[index]
            ledger.add("duplicate", document.first_line, f"as {where}: {document.turns[0].text[:120]}")
        self._contradictions(batch, seen, ledger)

    def _contradictions(self, batch: Batch, repeated: npt.NDArray[np.bool_], ledger: Ledger) -> None:
        """One question, at the start of a conversation, with another answer than before."""
        if batch.documents[0].is_prose:
            return
        start = batch.first_turn[:-1]
        counts = np.diff(batch.first_turn)
        asks = np.flatnonzero((counts > 1) & ~repeated)
        asks = asks[[batch.turns[turn].role == "user" for turn in start[asks].tolist()]] if len(asks) else asks
        if not len(asks):
            return
        turns = start[asks]
        normal = batch.normal
        gists = np.fromiter((gist(normal[turn + 1]) for turn in turns.tolist()), np.uint64, len(turns))
        answers = (batch.hashes[turns + 1] & ~_GIST_MASK) | gists
        lines = batch.first_lines[asks]
        seen, others, old_lines, old_files = self._questions.first_seen(batch.hashes[turns], answers, lines, self.file)
        for place in np.flatnonzero(seen & (others != answers)).tolist():
            document = batch.documents[int(asks[place])]
            code = "contradiction" if contradicts(int(others[place]), int(answers[place])) else "answered_twice"
            where = self._where(int(old_files[place]), int(old_lines[place]))
            ledger.add(code, document.first_line, f"as {where}: {document.turns[0].text[:120]}")

    def _where(self, file: int, line: int) -> str:
        if file == self.file:
            return f"line {line}"
        name = self._files[file] if file < len(self._files) else "an earlier file"
        return f"{name}:{line}"

    def finish(self, ledger: Ledger) -> None:
        """Say when the memory was too small to compare everything with everything."""
        if self._documents.forgotten > 0.01 * self._count:
            ledger.add("sketch_full", count=self._documents.forgotten, everywhere=True)
