"""One pass over documents, packed into rows that can be read from any place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.text.chat_template import TokenKind
from engine.text.mask import weight_of
from engine.text.packing import Packing, pack
from engine.text.shuffle import permutation
from engine.text.token_cache import TokenFile

RELEASE_TOKENS = 1 << 15
"""Tokens read from the mapped files before their pages are given back: each read touches a page of 4 KiB, and a corpus
of gigabytes would come to count as memory of this process."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, ready for the model. `n` rows of `T` positions."""

    ids: NDArray[np.int64]
    """[n, T] input tokens; the unused end of a row is `<|endoftext|>`."""
    targets: NDArray[np.int64]
    """[n, T] the token after each input token."""
    weights: NDArray[np.float32]
    """[n, T] weight of predicting each target in the loss: 0 for padding and what is masked."""
    text: NDArray[np.float32]
    """[n, T] 1 where the target is text of a document and has weight, 0 for control tokens, role headers and the rest:
    the losses that bits per byte add up."""
    bytes: int
    """UTF-8 bytes of the targets with text = 1: bits per byte = sum(text * nats) / ln 2 / bytes."""

    def cut(self, length: int) -> Batch:
        """Each row cut into pieces of `length` positions, which divides T: [n T / length, length]; nothing is lost."""
        if length == self.ids.shape[1]:
            return self
        return replace(
            self,
            ids=self.ids.reshape(-1, length),
            targets=self.targets.reshape(-1, length),
            weights=self.weights.reshape(-1, length),
            text=self.text.reshape(-1, length),
        )


@dataclass(frozen=True, slots=True)
class Documents:
    """Where the tokens of some documents are. Arrays have one entry a document."""

    files: tuple[TokenFile, ...]
    """The token files that they are in."""
    file: NDArray[np.int32]
    """Index into `files`."""
    start: NDArray[np.int64]
    """First token in that file."""
    tokens: NDArray[np.int32]
    """Number of tokens."""


class EpochOrder:
    """The rows of one epoch, or of the validation data, in order."""

    def __init__(
        self,
        documents: Documents,
        which: NDArray[np.int32],
        sequence_length: int,
        *,
        byte_lengths: NDArray[np.int32],
        padding: int,
        prompt_weight: float,
        shuffle: int | None = None,
    ) -> None:
        """Pack the documents in their order.

        Args:
            documents: All of them.
            which: Those of this epoch, by index and in order; one may come several times.
            sequence_length: Tokens a row predicts.
            byte_lengths: UTF-8 bytes of text of every token id.
            padding: Id that fills the unused end of a row.
            prompt_weight: As in `mask.weight_of`.
            shuffle: Key of the order of the rows and of the places where long documents are cut; None leaves the
                rows in the order of their documents.
        """
        self._documents = documents
        self.sequence_length = sequence_length
        self._byte_lengths = byte_lengths
        self._padding = padding
        self._weights = np.array([weight_of(kind, prompt_weight) for kind in TokenKind], dtype=np.float32)
        self._which = which
        lengths = documents.tokens[which]
        phase = None if shuffle is None else 1 + shuffle % (sequence_length + 1)
        self._packing: Packing = pack(lengths, sequence_length, phase)
        self.rows = self._packing.rows
        """Number of rows."""
        self.tokens = int(lengths.sum(dtype=np.int64))
        """Tokens of all documents together."""
        self._order = np.arange(self.rows) if shuffle is None else permutation(self.rows, shuffle)
        self._read = 0

    def batch(self, first_row: int, n: int) -> Batch:
        """Rows `first_row` to `first_row + n`; fewer where the epoch ends before.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= first_row < self.rows or n < 1:
            raise IndexError(f"rows {first_row} to {first_row + n} of {self.rows}")
        chosen = self._order[first_row : first_row + n]
        ids = np.full((len(chosen), self.sequence_length + 1), self._padding, dtype=np.int64)
        kinds = np.full(ids.shape, TokenKind.PADDING, dtype=np.uint8)
        for position, row in enumerate(chosen.tolist()):
            self._fill(row, ids[position], kinds[position])
        self._read += ids.size
        if self._read >= RELEASE_TOKENS:
            self._read = 0
            for file in self._documents.files:
                file.release()
        targets, kinds = ids[:, 1:], kinds[:, 1:]
        weights = self._weights[kinds]
        sizes = self._byte_lengths[targets] * ((weights > 0) & (kinds != TokenKind.TEMPLATE))
        return Batch(
            ids=np.ascontiguousarray(ids[:, :-1]),
            targets=np.ascontiguousarray(targets),
            weights=weights,
            text=(sizes > 0).astype(np.float32),
            bytes=int(sizes.sum(dtype=np.int64)),
        )

    def _fill(self, row: int, ids: NDArray[np.int64], kinds: NDArray[np.uint8]) -> None:
        packing, documents = self._packing, self._documents
        at = 0
        for piece in range(int(packing.row_start[row]), int(packing.row_start[row + 1])):
            document, first = int(self._which[packing.document[piece]]), int(packing.first[piece])
            context = 1 if first else 0
            count = int(packing.tokens[piece]) + context
            begin = int(documents.start[document]) + first - context
            file = documents.files[int(documents.file[document])]
            ids[at : at + count] = file.tokens[begin : begin + count]
            kinds[at : at + count] = file.kinds[begin : begin + count]
            at += count
