"""Some documents at once, with what several checks need of them computed once, for the whole batch, by numpy."""

from __future__ import annotations

from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from engine.text.conversation import Document, Turn

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_SEPARATOR = " \0 "


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
    def normal(self) -> list[str]:
        """Each turn in lower case with single spaces: what two texts that say the same share."""
        joined = " ".join(_SEPARATOR.join(self.texts).lower().split())
        normal = joined.split(_SEPARATOR)
        if len(normal) == len(self.texts):
            return normal
        return [" ".join(text.lower().split()) for text in self.texts]

    @cached_property
    def plain(self) -> Bytes:
        """The UTF-8 bytes of `normal`, each turn followed by a NUL."""
        return np.frombuffer(("\0".join(self.normal) + "\0").encode("utf-8", "replace"), np.uint8)

    @cached_property
    def plain_start(self) -> Ints:
        """Offset of each turn in `plain`, and its length."""
        return _starts(self.plain)

    @cached_property
    def words(self) -> Ints:
        """Words of each turn, divided by white space."""
        spaces = np.add.reduceat((self.plain == 32).view(np.uint8), self.plain_start[:-1], dtype=np.int64)
        return np.asarray(spaces + (np.diff(self.plain_start) > 1))

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """A 64-bit hash of each turn's normal text; good for one run of the program."""
        return np.fromiter(map(hash, self.normal), np.int64, len(self.normal)).view(np.uint64)

    @cached_property
    def document_hashes(self) -> npt.NDArray[np.uint64]:
        """A 64-bit hash of each document's normal text."""
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
