"""Sequence length warm-up: the first steps of a run read their rows in short pieces, the last ones read them whole.

After arXiv 2108.06084. A young model learns from what is near; attention over far tokens costs time and teaches little
yet. Every row is cut into equal pieces, so a step has the same tokens at any length; the pieces double in length until
they are whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST = 64
"""Tokens of the first pieces, at least."""


@dataclass(frozen=True, slots=True)
class LengthWarmup:
    """The length of the pieces as a pure function of the step."""

    sequence_length: int
    """Tokens of a whole row."""
    steps: int
    """Of the whole stage."""
    share: float
    """Of the steps, those that read pieces; each length has an equal part of them. 0: rows are whole from the start."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths in their order, whole rows last; only that where a row is short or cannot be halved."""
        lengths = [self.sequence_length]
        while self.share > 0 and lengths[-1] % 2 == 0 and lengths[-1] // 2 >= SHORTEST:
            lengths.append(lengths[-1] // 2)
        return tuple(reversed(lengths))

    @property
    def _ends(self) -> list[tuple[int, int]]:
        """Each length with the step before which it ends."""
        *pieces, whole = self.lengths
        ends = [int(self.share * self.steps * number / len(pieces)) for number in range(1, len(pieces) + 1)]
        return list(zip([*pieces, whole], [*ends, self.steps], strict=True))

    def length(self, step: int) -> int:
        """Tokens of the pieces that optimizer step `step` (0-based) reads."""
        return next((length for length, end in self._ends if step < end), self.sequence_length)

    def mean_length(self, first: int = 0) -> float:
        """Tokens of a piece, the mean over the steps from `first` to the end: what the time of a step goes by."""
        if first >= self.steps:
            return self.sequence_length
        tokens, begin = 0, first
        for length, end in self._ends:
            tokens += max(0, end - begin) * length
            begin = max(begin, end)
        return tokens / (self.steps - first)
