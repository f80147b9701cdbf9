"""How long documents are, in tokens, and which of them do not fit into one training sequence."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from engine.text.conversation import Document
from engine.text.findings.batch import Batch, Ints
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import TextSource

TOKENS_PER_TURN = 5
"""What the chat template adds to a turn."""

BINS = 24
"""Powers of two of the histogram."""


class Counts(Protocol):
    """Counts the tokens of documents exactly."""

    def __call__(self, documents: list[Document]) -> list[int]:
        """Tokens of each document."""
        ...


class Lengths(Check):
    """Counts documents, turns, words, bytes and tokens, and the histogram of lengths.

    Args:
        sequence_length: Tokens of one training sequence, or None when it is not known.
        counts: Counts tokens exactly; None estimates.
        bytes_per_token: For the estimate: UTF-8 bytes of text in one token.
    """

    def __init__(self, sequence_length: int | None, counts: Counts | None, bytes_per_token: float) -> None:
        self._limit = sequence_length
        self._counts = counts
        self._bytes_per_token = bytes_per_token
        self.documents = 0
        self.turns = 0
        self.words = 0
        self.bytes = 0
        self.tokens = 0
        """Exact or estimated."""
        self.longest = 0
        self.histogram = np.zeros(BINS, np.int64)
        """Documents with 2^i to 2^(i+1) - 1 tokens."""
        self._over = 0

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """All documents of the batch at once."""
        tokens = self._tokens(batch)
        self.documents += len(batch.documents)
        self.turns += len(batch.turns)
        self.words += int(batch.words.sum())
        self.bytes += int(batch.turn_bytes.sum())
        self.tokens += int(tokens.sum())
        self.longest = max(self.longest, int(tokens.max()))
        places = np.minimum(np.log2(np.maximum(tokens, 1)).astype(np.int64), BINS - 1)
        self.histogram += np.bincount(places, minlength=BINS)
        if self._limit is None:
            return
        for index in np.flatnonzero(tokens > self._limit).tolist():
            document = batch.documents[index]
            about = "" if self._counts else "about "
            self._over += int(tokens[index]) - self._limit
            text = f"{about}{int(tokens[index]):,} tokens: {document.turns[0].text[:100]}"
            detail = f"{about}{self._over:,} tokens lie beyond {self._limit}"
            ledger.add("too_long", document.first_line, text, detail=detail)

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """Every file has its own excess."""
        self._over = 0

    def _tokens(self, batch: Batch) -> Ints:
        if self._counts is not None:
            return np.array(self._counts(batch.documents), np.int64)
        turns = np.diff(batch.first_turn)
        overhead = np.where(turns > 1, TOKENS_PER_TURN * turns, 0) + 1
        return np.asarray(np.ceil(batch.document_bytes / self._bytes_per_token).astype(np.int64) + overhead)
