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

    def length(self, step: int) -> int:
        """Tokens of the pieces that optimizer step `step` (0-based) reads."""
        *pieces, whole = self.lengths
        for number, length in enumerate(pieces, 1):
            if step < int(self.share * self.steps * number / len(pieces)):
                return length
        return whole

    def mean_length(self, first: int = 0) -> float:
        """Tokens of a piece, the mean over the steps from `first` to the end: what the time of a step goes by."""
        *pieces, whole = self.lengths
        steps, tokens, begin = max(1, self.steps - first), 0, first
        for number, length in enumerate(pieces, 1):
            end = max(begin, int(self.share * self.steps * number / len(pieces)))
            tokens += (end - begin) * length
            begin = end
        return (tokens + max(0, self.steps - begin) * whole) / steps if self.steps > first else whole
