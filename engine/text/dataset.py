"""The training data as numbers: which documents are trained on, in which order, and with which weight for each token.

    corpus = build([DataFile("data/qa.txt")], tokenizer, Path(".forge/tokens"), validation=0.05, seed=0)
    order = corpus.epoch(3, sequence_length=512, seed=1337)
    batch = order.batch(first_row=64, n=32)

The order is a function of (seed, epoch) and a batch of its position in it: nothing needs to be remembered to go on
after an interruption, with another batch size, or on another number of devices.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, UsageError
from engine.text.epoch import Batch, Documents, EpochOrder
from engine.text.packing import rows_for
from engine.text.shuffle import permutation, state_of, uniform
from engine.text.split import HeldOut, hold_out
from engine.text.token_cache import DataFile, Progress, TokenFile, cache_tokens
from engine.text.token_splitting import counted, most_splits, split_documents
from engine.text.tokenizer import Tokenizer

__all__ = ["Batch", "Corpus", "DataFile", "EpochOrder", "build", "corpus_of"]

SCORED_TOKENS = 1 << 18
"""Held-out tokens that an evaluation scores, about: all of a large corpus' would take a large part of the run and
change the figure by next to nothing."""


def build(
    files: Sequence[DataFile],
    tokenizer: Tokenizer,
    cache_dir: Path | str,
    *,
    validation: float,
    seed: int,
    deduplicate: bool = False,
    strict: bool = True,
    progress: Progress | None = None,
) -> Corpus:
    """Tokenise the files that are not in the cache yet, and split the documents.

    Args:
        files: Paths with formats and weights; no globs.
        tokenizer: Of the model.
        cache_dir: Where the tokens are kept; safe to share between processes and projects.
        validation: Share of the different documents to hold out, from 0 to below 1.
        seed: Of the split. The same seed keeps the split stable while data is appended and between runs; use one
            seed for all runs of a model, or it will be trained on what it is validated on.
        deduplicate: Whether of documents with the same text (white space and case aside) only the first is used,
            also across files.
        strict: Whether a broken record is an error; otherwise it is skipped and counted.
        progress: Told of tokenising, see `token_cache.Progress`.

    Raises:
        DataError: a file cannot be read or has no documents.
        UsageError: no files, or a share or weight that cannot be.
        DiskFullError: no space for the tokens.
    """
    if not files:
        raise UsageError("There are no data files.", fix='Name some: data.files = ["data/my.txt"]')
    if not 0 <= validation < 1:
        raise UsageError(f"data.validation = {validation} is not a share.", fix="Use 0 (none) to 0.5; 0.05 is usual.")
    for file in files:
        if not 0 < file.weight <= 1000:
            raise UsageError(f"The weight {file.weight} is not possible.", file=file.path, fix="Use 0.001 to 1000.")
    tokens = [cache_tokens(file, tokenizer, Path(cache_dir), strict=strict, progress=progress) for file in files]
    weights = [file.weight for file in files]
    corpus = corpus_of(tokens, weights, tokenizer, validation=validation, seed=seed, deduplicate=deduplicate)
    # The corpus has the index of all files in one; keeping theirs as well would double it.
    light = replace(corpus.documents, files=tuple(file.without_index() for file in tokens))
    return replace(corpus, documents=light)


def corpus_of(
    files: Sequence[TokenFile],
    weights: Sequence[float],
    tokenizer: Tokenizer,
    *,
    validation: float,
    seed: int,
    deduplicate: bool = False,
) -> Corpus:
    """Split the documents of files that are tokenised already; arguments as for `build`."""
    lengths = np.concatenate([np.diff(file.starts) for file in files]).astype(np.int32)
    hashes = np.concatenate([file.hashes for file in files])
    counts = [len(file.hashes) for file in files]
    held_out = hold_out(hashes, lengths, validation, seed)
    trained, validated = ~held_out.mask, held_out.mask
    skipped: Counter[str] = Counter()
    for file in files:
        skipped.update(file.skipped)
    if deduplicate:
        first = np.zeros(len(hashes), dtype=np.bool_)
        first[np.unique(hashes, return_index=True)[1]] = True
        skipped["duplicate"] = int((~first).sum())
        trained, validated = trained & first, validated & first
    if not trained.any():
        raise DataError("No document is left to train on.", fix="Add data, or hold out less: data.validation = 0.05")
    key = [[file.key for file in files], list(weights), tokenizer.hash, validation, seed, deduplicate]
    return Corpus(
        documents=Documents(
            files=tuple(files),
            file=np.repeat(np.arange(len(files), dtype=np.int32), counts),
            start=np.concatenate([file.starts[:-1] for file in files]),
            tokens=lengths,
        ),
        text_bytes=np.concatenate([file.text_bytes for file in files]),
        hashes=hashes,
        weights=np.repeat(np.array(weights, dtype=np.float64), counts),
        trained=np.flatnonzero(trained).astype(np.int32),
        validated=np.flatnonzero(validated),
        held_out=held_out,
        tokenizer=tokenizer,
        skipped={reason: count for reason, count in skipped.items() if count},
        fingerprint=hashlib.sha256(repr(key).encode()).hexdigest(),
    )


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as tokens, split into training and validation."""

    documents: Documents
    """All documents, in the order of the files."""
    text_bytes: NDArray[np.int64]
    """UTF-8 bytes of text of each document."""
    hashes: NDArray[np.uint64]
    """`split.text_hash` of each document."""
    weights: NDArray[np.float64]
    """How often each document is seen in an epoch, on average."""
    trained: NDArray[np.int32]
    """Indices of the documents that are trained on."""
    validated: NDArray[np.int64]
    """Indices of the documents that are validated on."""
    held_out: HeldOut
    """How they were chosen."""
    tokenizer: Tokenizer
    """What the tokens mean."""
    skipped: dict[str, int]
    """Text that is neither trained nor validated on: places by reason."""
    fingerprint: str
    """Hex sha256 over the contents, weights, tokenizer and split: equal fingerprints give equal batches."""

    @property
    def train_documents(self) -> int:
        """Documents that are trained on."""
        return len(self.trained)

    @property
    def validation_documents(self) -> int:
        """Documents that are held out."""
        return len(self.validated)

    @property
    def train_tokens(self) -> int:
        """Tokens of the training documents, each counted once."""
        return int(self.documents.tokens[self.trained].sum(dtype=np.int64))

    @property
    def validation_tokens(self) -> int:
        """Tokens of the validation documents."""
        return int(self.documents.tokens[self.validated].sum(dtype=np.int64))

    @property
    def train_bytes(self) -> int:
        """UTF-8 bytes of text of the training documents, each counted once."""
        return int(self.text_bytes[self.trained].sum())

    @property
    def validation_bytes(self) -> int:
        """UTF-8 bytes of text of the validation documents."""
        return int(self.text_bytes[self.validated].sum())

    @property
    def max_document(self) -> int:
        """Tokens of the longest training document."""
        return int(self.documents.tokens[self.trained].max(initial=0))

    @property
    def median_document(self) -> int:
        """Tokens of the training document in the middle."""
        return int(np.median(self.documents.tokens[self.trained])) if len(self.trained) else 0

    @property
    def validation_possible(self) -> bool:
        """Whether any documents are held out."""
        return self.held_out.possible

    @property
    def validation_reason(self) -> str:
        """How many are held out, or why none are, in words."""
        return self.held_out.reason

    def rows(self, epoch: int, *, sequence_length: int, seed: int, split: float = 0.0) -> int:
        """Rows of an epoch without packing it: exact, cheap, the same for every epoch when all weights are whole.

        Where tokens are split it is not exact, but as many as it takes.
        """
        repeated = self._in_epoch(epoch, seed)
        lengths = self.documents.tokens[repeated]
        tokens, longest = int(lengths.sum(dtype=np.int64)), int(lengths.max(initial=0))
        if split:
            splits = most_splits(self._divisible, self.tokenizer.merges, split)
            tokens += math.ceil(splits * tokens / max(1, self.train_tokens))
            longest *= 2
        return rows_for(tokens, longest, sequence_length)

    def epoch(
        self, epoch: int, *, sequence_length: int, seed: int, prompt_weight: float = 1.0, split: float = 0.0
    ) -> EpochOrder:
        """The training documents in the order of an epoch (from 0), packed into rows.

        Args:
            epoch: Every epoch has an order, cuts and neighbours of its own.
            sequence_length: Tokens a row predicts.
            seed: Of the order.
            prompt_weight: 1 trains on all tokens (building); below, see `mask.weight_of` (fine-tuning).
            split: Probability with which a token is split into what it was merged from, see `token_splitting`.
        """
        repeated = self._in_epoch(epoch, seed)
        shuffled = repeated[permutation(len(repeated), state_of("documents", seed, epoch))]
        documents = self.documents
        if split:
            documents = split_documents(documents, shuffled, self.tokenizer.merges, split, seed, epoch)
            shuffled = np.arange(len(shuffled), dtype=np.int32)
        return self._packed(documents, shuffled, sequence_length, prompt_weight, state_of("rows", seed, epoch))

    @cached_property
    def _divisible(self) -> NDArray[np.int64]:
        """How often each token id that can be split comes in the training documents."""
        return counted(self.documents, self.trained, self.tokenizer.merges)

    @cached_property
    def scored(self) -> NDArray[np.int64]:
        """The held-out documents that evaluations score, always the same ones: all of them, or one in so many."""
        return self.validated[:: max(1, -(-self.validation_tokens // SCORED_TOKENS))]

    @property
    def scored_tokens(self) -> int:
        """Tokens of the documents that evaluations score."""
        return int(self.documents.tokens[self.scored].sum(dtype=np.int64))

    def validation_rows(self, sequence_length: int, prompt_weight: float = 1.0) -> EpochOrder:
        """The documents that are scored, always in the same order; no rows when validation is not possible."""
        return self._packed(self.documents, self.scored, sequence_length, prompt_weight, None)

    def _in_epoch(self, epoch: int, seed: int) -> NDArray[np.int32]:
        """Each training document as often as this epoch sees it.

        A weight of 1.5 is once and twice in turn, each document starting at a place of its own: over any stretch of
        epochs a document is seen as often as its weight says, to within one.
        """
        weights = self.weights[self.trained]
        if np.all(weights == 1.0):
            return self.trained
        offset = uniform(self.hashes[self.trained], state_of("weights", seed))
        times = np.floor(weights * (epoch + 1) + offset) - np.floor(weights * epoch + offset)
        return np.repeat(self.trained, times.astype(np.int64))

    def _packed(
        self,
        documents: Documents,
        which: NDArray[Any],
        sequence_length: int,
        prompt_weight: float,
        shuffle: int | None,
    ) -> EpochOrder:
        return EpochOrder(
            documents,
            which.astype(np.int32),
            sequence_length,
            byte_lengths=self._byte_lengths,
            padding=self.tokenizer.end_of_text,
            prompt_weight=prompt_weight,
            shuffle=shuffle,
        )

    @cached_property
    def _byte_lengths(self) -> NDArray[np.int32]:
        return np.array(self.tokenizer.byte_lengths, dtype=np.int32)
