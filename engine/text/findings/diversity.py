"""How varied a corpus is: its words and topics, how its questions begin, how often one answer serves many questions."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

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

TOPIC_DOCUMENTS = 1_000
"""Documents at the start of the corpus whose topics are counted."""

SAME_TOPIC = 0.4
"""Share of documents with one and the same word of TOPIC_LETTERS or more: they are about one thing."""

TOPIC_LETTERS = 5
FEWEST_TOPICS = 50
"""Documents below which nothing can be said of their topics."""

COMMONPLACE = frozenset(
    b"about after again always another answer because before being between could different doing every example "
    b"first found general getting given going great having little makes means might never number often other people "
    b"place quite rather really right shall should simple small since something still takes tells their there these "
    b"thing things think those three through times today under until using usually wants where which while without "
    b"words would years yours what's that's don't params result success <tool_call>{tool <tool_result>{success".split()
)
"""Words of any topic."""

_PUNCTUATION = b'.,!?;:"()'

CONVERSATIONS = 20_000
"""Conversations at the start of the corpus that are counted."""

SHOWN = 60
"""Bytes by which two answers are told apart."""


class Diversity(Check):
    """Counts openings of questions, first answers, distinct words, and words that many documents share."""

    def __init__(self) -> None:
        self._words: set[bytes] = set()
        self._seen = 0
        self._openings: Counter[bytes] = Counter()
        self._answers: Counter[bytes] = Counter()
        self._conversations = 0
        self._topics: Counter[bytes] = Counter()
        self._documents = 0

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Words of the first batches, openings of all."""
        for text in batch.normal:
            if self._seen >= WORDS:
                break
            words = text.split()
            self._seen += len(words)
            self._words.update(words)
        self._count_topics(batch)
        if batch.documents[0].is_prose or batch.documents[0].format == "router":
            return
        if self._conversations >= CONVERSATIONS:
            return
        asks = [index for index in batch.first_turn[:-1].tolist() if batch.turns[index].role == "user"]
        self._conversations += len(asks)
        normal = batch.normal
        self._openings.update([b" ".join(normal[index].split(b" ", 2)[:2]) for index in asks])
        self._answers.update([normal[index + 1][:SHOWN] for index in asks])

    def _count_topics(self, batch: Batch) -> None:
        """Each word once a document."""
        left = max(TOPIC_DOCUMENTS - self._documents, 0)
        for start, end in pairwise(batch.first_turn[: left + 1].tolist()):
            text = b" ".join(batch.normal[start:end])[:4000]
            self._topics.update(set(text.translate(None, _PUNCTUATION).split()))
            self._documents += 1

    def _judge_topics(self, ledger: Ledger) -> None:
        if self._documents < FEWEST_TOPICS:
            return
        longer = ((count, word) for word, count in self._topics.items() if len(word) >= TOPIC_LETTERS)
        count, word = max(((count, word) for count, word in longer if word not in COMMONPLACE), default=(0, b""))
        if count >= SAME_TOPIC * self._documents:
            shown = word[:40].decode("utf-8", "replace")
            detail = f'{100 * count / self._documents:.0f} % of the documents say "{shown}"'
            ledger.add("narrow_topic", detail=detail, everywhere=True)

    def finish(self, ledger: Ledger) -> None:
        """Over all files."""
        self._judge_topics(ledger)
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
