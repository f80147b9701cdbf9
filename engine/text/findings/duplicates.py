"""The same document twice, in one file or across files, and one question with different answers."""

from __future__ import annotations

import numpy as np

from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.findings.sketch import SeenTable

REMEMBERED = 1 << 21
"""Documents that are remembered."""


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

    def _contradictions(
        self, batch: Batch, repeated: np.ndarray[tuple[int], np.dtype[np.bool_]], ledger: Ledger
    ) -> None:
        """One question, at the start of a conversation, with another answer than before."""
        first = batch.first_turn
        asks = [
            index
            for index, document in enumerate(batch.documents)
            if len(document.turns) > 1 and document.turns[0].role == "user" and not repeated[index]
        ]
        if not asks:
            return
        start = first[np.array(asks)]
        questions, answers = batch.hashes[start], batch.hashes[start + 1]
        lines = batch.first_lines[asks]
        seen, old_answers, old_lines, old_files = self._questions.first_seen(questions, answers, lines, self.file)
        for place in np.flatnonzero(seen & (old_answers != answers)).tolist():
            document = batch.documents[asks[place]]
            where = self._where(int(old_files[place]), int(old_lines[place]))
            ledger.add("contradiction", document.first_line, f"as {where}: {document.turns[0].text[:120]}")

    def _where(self, file: int, line: int) -> str:
        if file == self.file:
            return f"line {line}"
        name = self._files[file] if file < len(self._files) else "an earlier file"
        return f"{name}:{line}"

    def finish(self, ledger: Ledger) -> None:
        """Say when the memory was too small to compare everything with everything."""
        if self._documents.forgotten > 0.01 * self._count:
            ledger.add("sketch_full", count=self._documents.forgotten, everywhere=True)
