"""Answers that teach nothing or the wrong style: too short, one-sided lengths, no sentences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import TextSource

FEWEST_WORDS = 5
"""The training guide's limit for an answer."""

ONE_SIDED = 20
"""Mean answer over mean question, or the other way round, from which lengths are one-sided."""

SENTENCE_ENDS = frozenset(".!?…。！？:;\"'”’)]}>`*|~—।؟")
ENOUGH = 20
"""Answers that a file must have before its averages mean something."""
PARAGRAPHS = 0.02
"""Share of answers with blank lines within up to which these are an exception."""
PROSE_CHARACTERS = 200
"""Text after the first blank line of an answer from which it may be text of its own."""
KEPT = 50
"""Such answers that are kept until the file has been read."""


class Answers(Check):
    """Looks at the answers of conversations; router labels are meant to be short."""

    def __init__(self) -> None:
        self._words = [0, 0]  # of questions, of answers
        self._turns = [0, 0]
        self._sloppy = 0
        self._sentences = 0
        self._sloppy_line = (0, "")
        self._divided = 0
        self._prose: list[tuple[int, str]] = []

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Count words; look closely at short answers and at a sample of endings."""
        if not batch.documents or batch.documents[0].is_prose or batch.documents[0].format == "router":
            return
        asks = np.fromiter((turn.role == "user" for turn in batch.turns), np.bool_, len(batch.turns))
        says = np.fromiter((turn.role == "assistant" for turn in batch.turns), np.bool_, len(batch.turns))
        for side, chosen in enumerate((asks, says)):
            self._words[side] += int(batch.words[chosen].sum())
            self._turns[side] += int(chosen.sum())
        for index in np.flatnonzero(says & (batch.words < FEWEST_WORDS)).tolist():
            turn = batch.turns[index]
            if "<tool_call>" not in turn.text and not _unspaced(turn.text):
                ledger.add("short_answer", turn.first_line, turn.text)
        for index in np.flatnonzero(says & (batch.words >= FEWEST_WORDS))[::7].tolist():
            self._style(batch, index)
        self._paragraphs(batch, says)

    def _paragraphs(self, batch: Batch, says: npt.NDArray[np.bool_]) -> None:
        """Note answers with blank lines within: in a file of short ones the rest may be text of its own."""
        newline = batch.raw == 10
        gaps = np.flatnonzero(newline[1:] & newline[:-1])
        if not len(gaps):
            return
        turns = np.unique(np.searchsorted(batch.raw_start, gaps, "right") - 1)
        turns = turns[says[turns]]
        self._divided += len(turns)
        for index in turns[: max(0, KEPT - len(self._prose))].tolist():
            turn = batch.turns[index]
            head, _, tail = turn.text.partition("\n\n")
            if len(tail) >= PROSE_CHARACTERS and "```" not in head and "tool_" not in head:
                self._prose.append((turn.first_line + head.count("\n") + 2, tail.lstrip()))

    def _style(self, batch: Batch, index: int) -> None:
        turn = batch.turns[index]
        text = turn.text.strip()
        if "tool_" in text or "```" in text or not text[:1].isalpha():
            return
        self._sentences += 1
        if text[-1] not in SENTENCE_ENDS and (text[0].islower() or "\n" not in text):
            self._sloppy += 1
            if not self._sloppy_line[0]:
                self._sloppy_line = (turn.first_line, text)

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """Averages of one file."""
        if min(self._turns) >= ENOUGH and min(self._words):
            asked, answered = (self._words[side] / self._turns[side] for side in (0, 1))
            if answered > ONE_SIDED * asked or asked > ONE_SIDED * answered:
                detail = f"questions have {asked:.0f} words on average, answers {answered:.0f}"
                ledger.add("one_sided", count=sum(self._turns), detail=detail)
        if self._sentences >= ENOUGH and self._sloppy > self._sentences * 0.5:
            share = 100 * self._sloppy / self._sentences
            ledger.add("sloppy_sentences", *self._sloppy_line, count=self._sloppy, detail=f"{share:.0f} % of a sample")
        if self._turns[1] >= ENOUGH and self._divided <= max(1.0, PARAGRAPHS * self._turns[1]):
            for line, text in self._prose:
                ledger.add("prose_in_answer", line, text)
        self.__init__()  # type: ignore[misc]  # every file has its own averages


def _unspaced(text: str) -> bool:
    """Whether a text is in a script that writes no spaces between words and is long enough to say something."""
    return len(text) >= 2 * FEWEST_WORDS and sum(char > "\u2e7f" for char in text) > len(text) // 2
