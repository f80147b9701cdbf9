"""Hash tables of a fixed size: what was seen before, as far as memory allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

WAYS = 4
"""Slots that a key may be in."""


class SeenTable:
    """Remembers up to `capacity` 64-bit keys, each with the file and line where it was first seen, and a value.

    Memory is 22 bytes a slot. When the slots of a key are full, an older key is forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self._rows = 1 << max(int(capacity // WAYS - 1).bit_length(), 4)
        shape = (self._rows, WAYS)
        self._keys = np.zeros(shape, np.uint64)
        self._values = np.zeros(shape, np.uint64)
        self._lines = np.zeros(shape, np.uint32)
        self._files = np.zeros(shape, np.uint16)
        self.forgotten = 0
        """Keys that had to make room."""

    def first_seen(
        self, keys: Keys, values: Keys, lines: Indices, file: int
    ) -> tuple[npt.NDArray[np.bool_], Keys, Indices, Indices]:
        """For each key: whether it was seen before, in this call or earlier, and value, line and file of the first.

        Keys that were not seen are remembered.
        """
        keys = np.where(keys == 0, np.uint64(1), keys)  # zero means an empty slot
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        rows = ((unique * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)).astype(np.int64) % self._rows
        hit = self._keys[rows] == unique[:, None]
        known = hit.any(axis=1)
        way = np.where(known, hit.argmax(axis=1), 0)
        old_values = np.where(known, self._values[rows, way], values[first])
        old_lines = np.where(known, self._lines[rows, way].astype(np.int64), lines[first])
        old_files = np.where(known, self._files[rows, way].astype(np.int64), file)
        self._remember(unique[~known], values[first][~known], lines[first][~known], rows[~known], file)
        seen = known[inverse] | (np.arange(len(keys)) != first[inverse])
        return seen, old_values[inverse], old_lines[inverse], old_files[inverse]

    def _remember(self, keys: Keys, values: Keys, lines: Indices, rows: Indices, file: int) -> None:
        left = np.arange(len(keys))
        while len(left):
            empty = self._keys[rows[left]] == 0
            full = ~empty.any(axis=1)
            other = (keys[left] >> np.uint64(7)).astype(np.int64) % WAYS
            way = np.where(full, other, empty.argmax(axis=1))
            self.forgotten += int(full.sum())
            place = (rows[left], way)
            self._keys[place] = keys[left]
            self._values[place] = values[left]
            self._lines[place] = np.minimum(lines[left], 0xFFFFFFFF)
            self._files[place] = min(file, 0xFFFF)
            # Two new keys of one row took the same empty slot, and the later one has it: the earlier tries the next.
            left = left[(self._keys[place] != keys[left]) & ~full]
