"""Documents of every length into rows of one length: nothing cropped, next to nothing padded.

A row has `sequence_length + 1` positions, so that it gives `sequence_length` pairs of a token and the one after it. A
row starts at the beginning of a document wherever it can. Within a row the documents come in the given order; the gap
at the end takes the longest of the next thousand documents that fits. Where none fits and the padding would exceed its
budget, a document is split: its head fills the gap and the rest goes on in the rows after. Such a continuation row
repeats one token in front, as context, so that every token of the document but its first is predicted exactly once.

The number of rows is known before packing (`rows_for`): a schedule can be planned over epochs that nobody has packed.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 1024
"""Documents among which the one that fits is looked for."""
PADDING = 0.01
"""Budget for padding as a share of all positions, from a sequence length of 125 on (less below, so that padding and
row starts together stay under 2 %)."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Which stretch of which document stands in which row."""

    document: NDArray[np.int32]
    """Index of the document of each piece, into the lengths that were packed."""
    first: NDArray[np.int32]
    """Position in the document of the piece's first new token; above 0 only at the start of a row, where the token
    before it is repeated as context."""
    tokens: NDArray[np.int32]
    """New tokens of each piece."""
    row_start: NDArray[np.int64]
    """Index of each row's first piece, and at the end the number of pieces: rows + 1 entries."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row_start) - 1


def _padding_per_row(sequence_length: int) -> float:
    return min(PADDING, max(0.0, 0.018 - 1 / sequence_length)) * sequence_length


def rows_for(tokens: int, longest: int, sequence_length: int) -> int:
    """Rows that documents of `tokens` in all, `longest` tokens the longest, are packed into: always the same."""
    if tokens == 0:
        return 0
    closed = int((tokens - 1) / (sequence_length - _padding_per_row(sequence_length)))
    return closed + 1 + (longest > sequence_length + 1)


def pack(lengths: NDArray[np.int32], sequence_length: int, phase: int | None = None) -> Packing:
    """Pack documents of these lengths (tokens, all above 0), in this order.

    Args:
        lengths: One entry a document.
        sequence_length: Tokens a row predicts, 2 or more.
        phase: Tokens in the first piece of the first long document: moves the places where long documents are cut,
            so that they differ from epoch to epoch.

    Returns:
        Exactly `rows_for(...)` rows, none of them empty.
    """
    packer = _Packer(lengths, sequence_length, phase)
    packer.run()
    found = packer.result()
    longest = int(lengths.max(initial=0))
    return _spread(found, rows_for(int(lengths.sum(dtype=np.int64)), longest, sequence_length))


class _Packer:
    """The state of one packing run."""

    def __init__(self, lengths: NDArray[np.int32], sequence_length: int, phase: int | None) -> None:
        self.lengths = np.ascontiguousarray(lengths, dtype=np.int32).data
        self.length = sequence_length
        self.capacity = sequence_length + 1
        self.phase = phase
        self.budget = _padding_per_row(sequence_length)
        self.padded = 0
        self.document = array("i")
        self.first = array("i")
        self.tokens = array("i")
        self.row_start = array("q")
        self.used = bytearray(len(self.lengths))
        self.next = 0
        self.window_end = 0
        self.waiting = 0
        self.by_length: list[list[int]] = [[] for _ in range(self.capacity + 1)]
        self.present = 0
        self.long: deque[int] = deque()

    def result(self) -> Packing:
        self.row_start.append(len(self.document))
        return Packing(
            np.array(self.document, dtype=np.int32),
            np.array(self.first, dtype=np.int32),
            np.array(self.tokens, dtype=np.int32),
            np.array(self.row_start, dtype=np.int64),
        )

    def run(self) -> None:
        """Row by row: the next document in order if it fits, else the longest in the window that does, else split."""
        lengths, used, count = self.lengths, self.used, len(self.lengths)
        room, slack = 0, 0
        while True:
            self._refill()
            while self.next < count and used[self.next]:
                self.next += 1
            if self.next == count:
                return
            chosen = self.next
            if room == 0:
                self.row_start.append(len(self.document))
                room, slack = self.capacity, 1
                if lengths[chosen] > room:
                    room, slack = self._split(chosen, min(room, self.phase or room)), 0
                    self.phase = None
                    continue
            elif lengths[chosen] > room:
                fitting = self._longest_within(room)
                if fitting is None:
                    padding = room - slack
                    if padding <= self.budget * len(self.row_start) - self.padded:
                        self.padded += padding
                        room = 0
                    else:
                        room, slack = self._split(self._to_split(), room), 0
                    continue
                chosen = fitting
            self._place(chosen, 0, lengths[chosen])
            room -= lengths[chosen]

    def _refill(self) -> None:
        lengths = self.lengths
        while self.waiting < WINDOW and self.window_end < len(lengths):
            length = lengths[self.window_end]
            if length > self.capacity:
                self.long.append(self.window_end)
            else:
                self.by_length[length].append(self.window_end)
                self.present |= 1 << length
            self.window_end += 1
            self.waiting += 1

    def _place(self, document: int, first: int, tokens: int) -> None:
        self.document.append(document)
        self.first.append(first)
        self.tokens.append(tokens)
        if not self.used[document]:
            self.used[document] = 1
            self.waiting -= 1

    def _longest_within(self, room: int) -> int | None:
        fitting = self.present & ((2 << room) - 1)
        while fitting:
            length = fitting.bit_length() - 1
            stack = self.by_length[length]
            while stack:
                document = stack.pop()
                if not self.used[document]:
                    return document
            self.present ^= 1 << length
            fitting ^= 1 << length
        return None

    def _to_split(self) -> int:
        """A document that needs splitting anyway, or the next one."""
        while self.long:
            document = self.long[0]
            if not self.used[document]:
                return document
            self.long.popleft()
        return self.next

    def _split(self, document: int, room: int) -> int:
        """Place the head in the open row and the rest in rows of its own; returns the room left in the last one."""
        length = self.lengths[document]
        self._place(document, 0, room)
        first = room
        while True:
            self.row_start.append(len(self.document))
            tokens = min(self.length, length - first)
            self._place(document, first, tokens)
            first += tokens
            if first == length:
                return self.length - tokens


def _spread(packing: Packing, rows: int) -> Packing:
    """The same pieces in exactly `rows` rows: some rows are divided in two, which spends the rest of the budget."""
    while (missing := rows - packing.rows) > 0:
        counts = np.diff(packing.row_start)
        several = np.flatnonzero(counts > 1)
        if len(several):
            chosen = several[_evenly(len(several), missing)]
            middles = packing.row_start[chosen] + counts[chosen] // 2
            row_start = np.sort(np.concatenate([packing.row_start, middles]))
            packing = Packing(packing.document, packing.first, packing.tokens, row_start)
            continue
        longer = np.flatnonzero(packing.tokens > 1)
        chosen = longer[_evenly(len(longer), missing)]
        packing = _divide(packing, chosen)
    return packing


def _evenly(available: int, wanted: int) -> NDArray[np.int64]:
    if wanted >= available:
        return np.arange(available)
    return np.arange(wanted) * available // wanted


def _divide(packing: Packing, chosen: NDArray[np.int64]) -> Packing:
    """Cut the only piece of each chosen row in the middle; the second half becomes a continuation row."""
    head = packing.tokens[chosen] // 2
    tokens = packing.tokens.copy()
    tokens[chosen] = head
    return Packing(
        np.insert(packing.document, chosen + 1, packing.document[chosen]),
        np.insert(packing.first, chosen + 1, packing.first[chosen] + head),
        np.insert(tokens, chosen + 1, packing.tokens[chosen] - head),
        np.arange(len(tokens) + len(chosen) + 1, dtype=np.int64),
    )
