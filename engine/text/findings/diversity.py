"""How varied a corpus is: its words, the way its questions begin, and how often one answer serves many questions."""

from __future__ import annotations

from collections import Counter

from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

WORDS = 50_000
"""Words at the start of the corpus whose variety is measured."""

FEWEST_WORDS = 2_000
"""Below this nothing can be said."""

LEAST_VARIETY = 0.02
"""Distinct words in WORDS words: English prose has about 0.12, the starter data 0.08."""

SAME_OPENING = 0.3
"""Share of questions that begin with the same two words."""

SAME_ANSWER = 0.2
"""Share of conversations with the same first answer."""

MOST_KEYS = 50_000
"""Openings and answers that are counted."""


class Diversity(Check):
    """Counts openings of questions, first answers, and distinct words."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._seen = 0
        self._openings: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._shown: dict[int, str] = {}
        self._conversations = 0

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Words of the first batches, openings of all."""
        for text in batch.normal:
            if self._seen >= WORDS:
                break
            words = text.split()
            self._seen += len(words)
            self._words.update(words)
        if batch.documents[0].is_prose or batch.documents[0].format == "router":
            return
        for index in batch.first_turn[:-1].tolist():
            if index + 1 >= len(batch.turns) or batch.turns[index].role != "user":
                continue
            self._conversations += 1
            opening = " ".join(batch.normal[index].split(" ", 2)[:2])
            answer = int(batch.hashes[index + 1])
            if opening in self._openings or len(self._openings) < MOST_KEYS:
                self._openings[opening] += 1
            if answer in self._answers or len(self._answers) < MOST_KEYS:
                self._answers[answer] += 1
                if self._answers[answer] == 5:
                    self._shown[answer] = batch.turns[index + 1].text[:60]

    def finish(self, ledger: Ledger) -> None:
        """Over all files."""
        if self._seen >= FEWEST_WORDS:
            # Distinct words grow about as the square root of the text (Heaps' law): judge a short text by its own size.
            expected = LEAST_VARIETY * (WORDS / min(self._seen, WORDS)) ** 0.5
            share = len(self._words) / self._seen
            if share < expected:
                detail = f"{len(self._words):,} different words in {self._seen:,}"
                ledger.add("low_diversity", detail=detail, everywhere=True)
        if self._conversations < 50:
            return
        opening, count = self._openings.most_common(1)[0]
        if count > SAME_OPENING * self._conversations:
            share = 100 * count / self._conversations
            detail = f'{share:.0f} % of the questions begin with "{opening[:40]}"'
            ledger.add("low_diversity", detail=detail, everywhere=True)
        answer, count = self._answers.most_common(1)[0]
        if count > SAME_ANSWER * self._conversations:
            share = 100 * count / self._conversations
            detail = f'{share:.0f} % of the answers are "{self._shown.get(answer, "")[:40]}"'
            ledger.add("low_diversity", detail=detail, everywhere=True)
