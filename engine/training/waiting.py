"""Says how far long work before the first step is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.events import Log

if TYPE_CHECKING:
    from engine.runs.channel import Reporter

QUIET_SECONDS = 5.0
"""Shorter work needs no words."""
EVERY_SECONDS = 15.0


class Waiting:
    """Reports the progress of one piece of work: nothing at first, then a line now and then.

    Args:
        reporter: Told of it.
        what: What is being done: "Checking the data".
    """

    def __init__(self, reporter: Reporter, what: str) -> None:
        self._reporter = reporter
        self._what = what
        self._started = time.monotonic()
        self._next = self._started + QUIET_SECONDS

    def __call__(self, done: float, total: float) -> None:
        """Part of the whole, in any unit."""
        now = time.monotonic()
        if now < self._next or not 0 < done <= total:
            return
        self._next = now + EVERY_SECONDS
        left = (now - self._started) * (total - done) / done
        self._reporter(Log(text=f"{self._what}: {done / total:.0%}, about {_in_words(left)} left."))


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
