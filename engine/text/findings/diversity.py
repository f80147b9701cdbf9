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

CONVERSATIONS = 20_000
"""Conversations at the start of the corpus that are counted."""

SHOWN = 60
"""Bytes by which two answers are told apart."""


class Diversity(Check):
    """Counts openings of questions, first answers, and distinct words."""

    def __init__(self) -> None:
        self._words: set[bytes] = set()
        self._seen = 0
        self._openings: Counter[bytes] = Counter()
        self._answers: Counter[bytes] = Counter()
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
        if self._conversations >= CONVERSATIONS:
            return
        asks = [index for index in batch.first_turn[:-1].tolist() if batch.turns[index].role == "user"]
        self._conversations += len(asks)
        normal = batch.normal
        self._openings.update([b" ".join(normal[index].split(b" ", 2)[:2]) for index in asks])
        self._answers.update([normal[index + 1][:SHOWN] for index in asks])

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
            detail = f'{share:.0f} % of the questions begin with "{opening[:40].decode("utf-8", "replace")}"'
            ledger.add("low_diversity", detail=detail, everywhere=True)
        answer, count = self._answers.most_common(1)[0]
        if count > SAME_ANSWER * self._conversations:
            share = 100 * count / self._conversations
            detail = f'{share:.0f} % of the answers are "{answer[:40].decode("utf-8", "replace")}"'
            ledger.add("low_diversity", detail=detail, everywhere=True)
