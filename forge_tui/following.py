"""A run seen from outside: its history, then what it says, until its host is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from engine.events import Event
from engine.files import is_locked
from engine.runs.journal import JournalReader
from engine.runs.state import LOCK

POLL_SECONDS = 0.1


def follow(run: Path, *, after: int = 0) -> Iterator[Event | None]:
    """The events of a run that come after `after`, and None whenever there is nothing new; ends with the run.

    Args:
        run: The run's folder.
        after: `seq` of the last event that is known.
    """
    reader = JournalReader(run, after=after)
    try:
        while True:
            alive = is_locked(run / LOCK)
            events = reader.poll(2000)
            yield from events
            if events:
                continue
            if not alive:
                return
            yield None
            time.sleep(POLL_SECONDS)
    finally:
        reader.close()


def last_seq(run: Path) -> int:
    """`seq` of the newest event."""
    from engine.runs.digest import open_digest

    digest, reader = open_digest(run)
    reader.close()
    return max(digest.seq, reader.seq)
