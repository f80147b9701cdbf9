"""Some documents at once, with what several checks need of them computed once, for the whole batch, by numpy."""

from __future__ import annotations

from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from engine.text.conversation import Document, Turn

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_PLAIN = bytes(32 if 0 < byte < 33 else ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256))
"""White space to spaces, ASCII capitals to small letters."""


BINS = 64
"""Bins of the sketch of a document."""

EMPTY = 0xFFFFFFFF
"""The value of a bin that no shingle fell into."""

SHINGLE = 8
"""Bytes of a shingle."""

_AT_ONCE = 1 << 15
_MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class Batch:
    """Documents of one file and format; arrays are indexed by turn unless they say otherwise."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents
        self.turns: list[Turn] = list(chain.from_iterable([document.turns for document in documents]))

    @cached_property
    def texts(self) -> list[str]:
        """The text of each turn."""
        texts = [turn.text for turn in self.turns]
        if any("\0" in text for text in texts):
            texts = [text.replace("\0", "\ufffd") for text in texts]
        return texts

    @cached_property
    def first_turn(self) -> Ints:
        """Index of each document's first turn, and one past the last turn."""
        counts = np.fromiter((len(document.turns) for document in self.documents), np.int64, len(self.documents))
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    @cached_property
    def raw(self) -> Bytes:
        """The UTF-8 bytes of all turns, each followed by a NUL."""
        return np.frombuffer(("\0".join(self.texts) + "\0").encode("utf-8", "replace"), np.uint8)

    @cached_property
    def raw_start(self) -> Ints:
        """Offset of each turn in `raw`, and its length."""
        return _starts(self.raw)

    @cached_property
    def turn_bytes(self) -> Ints:
        """UTF-8 bytes of each turn."""
        return np.diff(self.raw_start) - 1

    @cached_property
    def document_bytes(self) -> Ints:
        """UTF-8 bytes of each document."""
        total = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.turn_bytes)])
        return np.asarray(np.diff(total[self.first_turn]))

    @cached_property
    def plain(self) -> Bytes:
        """`raw` in lower case (ASCII letters) with single spaces: what two texts that say the same share."""
        data = np.frombuffer(self.raw.tobytes().translate(_PLAIN), np.uint8)
        blank = data <= 32  # spaces, and the NUL after each turn
        if not blank[0] and not (blank[1:] & blank[:-1]).any():
            return data
        after = np.concatenate([np.ones(1, np.bool_), blank[:-1]])
        before_end = np.concatenate([data[1:] == 0, np.zeros(1, np.bool_)])
        return np.asarray(data[(data != 32) | ~(after | before_end)])

    @cached_property
    def plain_start(self) -> Ints:
        """Offset of each turn in `plain`, and its length."""
        return _starts(self.plain)

    @cached_property
    def word_starts(self) -> Ints:
        """Offsets in `plain` at which words begin."""
        blank = self.plain <= 32
        starts = ~blank
        starts[1:] &= blank[:-1]
        return np.flatnonzero(starts)

    @cached_property
    def words(self) -> Ints:
        """Words of each turn, divided by white space."""
        return np.asarray(np.diff(np.searchsorted(self.word_starts, self.plain_start)))

    @cached_property
    def document_words(self) -> Ints:
        """Words of each document."""
        return np.asarray(np.add.reduceat(self.words, self.first_turn[:-1]))

    @cached_property
    def first_lines(self) -> Ints:
        """Line at which each document begins."""
        return np.fromiter((document.first_line for document in self.documents), np.int64, len(self.documents))

    @cached_property
    def least(self) -> npt.NDArray[np.uint32]:
        """For each document the least hash of its shingles in each of BINS bins, or EMPTY.

        A shingle is the SHINGLE bytes at the start of a word, two words or so; what follows the document counts as
        spaces.
        """
        padded = np.concatenate([self.plain, np.full(SHINGLE, 32, np.uint8)])
        padded[padded == 0] = 32
        starts = self.word_starts
        documents = np.repeat(np.arange(len(self.documents)), self.document_words)
        least = np.full(len(self.documents) * BINS, EMPTY, np.uint32)
        windows = np.lib.stride_tricks.sliding_window_view(padded, SHINGLE)
        for first in range(0, len(starts), _AT_ONCE):  # small enough to stay in the cache
            part = slice(first, first + _AT_ONCE)
            hashes = np.ascontiguousarray(windows[starts[part]]).view(np.uint64).ravel()
            hashes = hashes * _MIX_1
            hashes ^= hashes >> np.uint64(29)
            hashes *= _MIX_2
            places = documents[part] * BINS + (hashes >> np.uint64(58)).astype(np.int64)
            np.minimum.at(least, places, ((hashes >> np.uint64(26)) & np.uint64(0xFFFFFFFF)).astype(np.uint32))
        return least.reshape(-1, BINS)

    @cached_property
    def normal(self) -> list[bytes]:
        """The bytes of each turn in `plain`."""
        data, start = self.plain.tobytes(), self.plain_start.tolist()
        return [data[first : end - 1] for first, end in pairwise(start)]

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """A 64-bit hash of each turn's plain text; good for one run of the program."""
        return np.fromiter(map(hash, self.normal), np.int64, len(self.normal)).view(np.uint64)

    @cached_property
    def document_hashes(self) -> npt.NDArray[np.uint64]:
        """A 64-bit hash of each document's plain text."""
        first = self.first_turn
        index = np.arange(len(self.turns)) - np.repeat(first[:-1], np.diff(first))
        mixed = (self.hashes ^ (self.hashes >> np.uint64(29))) * _odd(index)
        return np.asarray(np.add.reduceat(mixed, first[:-1]))


def _starts(data: Bytes) -> Ints:
    ends = np.flatnonzero(data == 0)
    return np.concatenate([np.zeros(1, np.int64), ends + 1])


def _odd(index: Ints) -> npt.NDArray[np.uint64]:
    """A different odd multiplier for each position."""
    return (index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
