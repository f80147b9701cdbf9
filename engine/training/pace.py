"""How fast a run is and when it will end, evaluation and saving included."""

from __future__ import annotations

import time

TOO_EARLY_STEPS = 8


class Pace:
    """Measures seconds a step, an evaluation and a save; none of it influences the training."""

    def __init__(self) -> None:
        self._step_seconds = 0.0
        self._steps = 0
        self._tokens_per_second = 0.0
        self._other: dict[str, tuple[float, int]] = {}
        self._mark = time.monotonic()

    def step(self, tokens: int) -> None:
        """An optimizer step over `tokens` has ended."""
        now = time.monotonic()
        seconds = max(1e-6, now - self._mark)
        self._mark = now
        self._steps += 1
        weight = max(0.05, 1.0 / self._steps)
        self._step_seconds += weight * (seconds - self._step_seconds)
        self._tokens_per_second += weight * (tokens / seconds - self._tokens_per_second)

    def other(self, kind: str) -> float:
        """Something else ("evaluate", "save", "sample") has ended; returns how long it took."""
        now = time.monotonic()
        seconds = now - self._mark
        self._mark = now
        total, count = self._other.get(kind, (0.0, 0))
        self._other[kind] = (total + seconds, count + 1)
        return seconds

    def restart(self) -> None:
        """Forget the time since the last mark (after a pause)."""
        self._mark = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        """Training tokens a second, lately; evaluation and saving not counted."""
        return self._tokens_per_second

    def eta(self, steps_left: float, others_left: dict[str, int]) -> float | None:
        """Seconds to the end; None while it is too early to say.

        Args:
            steps_left: Optimizer steps to do, in steps as long as the last ones.
            others_left: How many of each other kind are still to come.
        """
        if self._steps < TOO_EARLY_STEPS:
            return None
        seconds = steps_left * self._step_seconds
        for kind, left in others_left.items():
            total, count = self._other.get(kind, (0.0, 0))
            seconds += left * (total / count if count else 0.0)
        return seconds
