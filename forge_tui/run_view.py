"""A run as the app watches it: its bounded history, and what has changed since the last look."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ModelError
from engine.events import Advice, Device, Done, Eval, Event, Failed, Plan, Resumed, Sample, Step, Stopped
from engine.runs.digest import Digest, open_digest
from engine.runs.journal import JournalReader
from engine.runs.state import Phase, Run, read_run

EVENTS_A_LOOK = 1000
"""At most so many events are taken in at once, so that the app never stops answering keys."""
STATE_SECONDS = 2.0


@dataclass(slots=True)
class Changes:
    """What is new since the last look."""

    phase: bool = False
    curve: bool = False
    """Training or validation loss, or a return to an earlier step."""
    numbers: bool = False
    news: list[Event] = field(default_factory=list)
    """Events other than progress, oldest first."""
    progress: list[Step] = field(default_factory=list)
    samples: bool = False
    advice: bool = False

    def __bool__(self) -> bool:
        return self.phase or self.curve or self.numbers or bool(self.news)


class RunView:
    """Follows one run, of this process or any other: reads its journal, never talks to it."""

    def __init__(self, run: Run, digest: Digest, reader: JournalReader) -> None:
        self.run = run
        self.digest = digest
        self._reader = reader
        self._looked = time.monotonic()
        self._ends: deque[float] = deque(maxlen=12)
        self._rates: deque[float] = deque(maxlen=8)

    @classmethod
    def open(cls, folder: Path) -> RunView:
        """The view of the run in `folder`, up to date. May read much: call it in the background.

        Raises:
            ModelError: the folder is not a run.
        """
        run = read_run(folder)
        digest, reader = open_digest(folder)
        return cls(run, digest, reader)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @property
    def phase(self) -> Phase:
        """The run's phase, death taken into account."""
        return self.run.phase

    def poll(self) -> Changes:
        """Take in what has happened; cheap when nothing has."""
        changes = Changes()
        for event in self._reader.poll(EVENTS_A_LOOK):
            self.digest.update(event)
            _note(event, changes)
            if isinstance(event, Step):
                self._rates.append(event.learning_rate)
                if event.eta_seconds is not None:
                    self._ends.append(event.time + event.eta_seconds)
        ended = any(isinstance(event, Plan | Done | Stopped | Failed) for event in changes.news)
        if ended or changes.news or time.monotonic() - self._looked >= STATE_SECONDS:
            self._look(changes)
        return changes

    @property
    def rate_trend(self) -> int:
        """1 while the learning rate rises, -1 while it falls, else 0."""
        if len(self._rates) < 2:
            return 0
        first, last = self._rates[0], self._rates[-1]
        return (last > first * 1.0001) - (last < first * 0.9999)

    def remaining(self, now: float) -> tuple[float | None, float | None]:
        """Seconds to the end as last estimated, and by how much the latest estimates differ."""
        step = self.digest.step
        if step is None or step.eta_seconds is None:
            return None, None
        left = max(0.0, step.time + step.eta_seconds - now)
        band = (max(self._ends) - min(self._ends)) / 2 if len(self._ends) >= 4 else None
        return left, band

    def refresh(self) -> Changes:
        """Read the state at once, as after a command of ours."""
        changes = self.poll()
        self._look(changes)
        return changes

    def _look(self, changes: Changes) -> None:
        self._looked = time.monotonic()
        before = (self.run.phase, self.run.alive)
        try:
            self.run = read_run(self.folder)
        except ModelError:
            return
        changes.phase = changes.phase or before != (self.run.phase, self.run.alive)

    def close(self) -> None:
        """Let go of the journal."""
        self._reader.close()


def _note(event: Event, changes: Changes) -> None:
    match event:
        case Step():
            changes.curve = changes.numbers = True
            changes.progress.append(event)
            return
        case Device():
            changes.numbers = True
            return
        case Eval() | Resumed():
            changes.curve = True
        case Sample():
            changes.samples = True
        case Advice():
            changes.advice = True
        case Plan() | Done() | Stopped() | Failed():
            changes.phase = True
    changes.numbers = True
    changes.news.append(event)
