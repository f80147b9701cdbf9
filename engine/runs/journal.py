"""events.jsonl: the durable record of a run, appended by its host and read by any number of viewers."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.events import Event, decode, encode

FILE = "events.jsonl"
ROTATE_BYTES = 50_000_000
_PARTS = "events-*.jsonl"


def parts(run: Path) -> list[Path]:
    """The journal's files from oldest to newest; those that were rotated away carry their first `seq`."""
    return [*sorted(run.glob(_PARTS)), *([run / FILE] if (run / FILE).exists() else [])]


class Journal:
    """The writing side. Exactly one process (the host, under the run's lock) has it open."""

    def __init__(self, run: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.run = run
        self.path = run / FILE
        self._rotate_bytes = rotate_bytes
        self.seq = self._repair()
        self._stream: BinaryIO = self.path.open("ab", buffering=0)
        self._size = self.path.stat().st_size

    def _repair(self) -> int:
        """Cut a torn last line off and return the last complete `seq`."""
        if self.path.exists():
            with self.path.open("r+b") as stream:
                keep = _end_of_last_line(stream)
                if keep != stream.seek(0, os.SEEK_END):
                    stream.truncate(keep)
        for part in reversed(parts(self.run)):
            last = 0
            for event in read_file(part, tail=True):
                last = event.seq
            if last:
                return last
        return 0

    def append(self, event: Event) -> Event:
        """Write one event; returns it with `run`, `seq` and `time` filled in."""
        self.seq += 1
        stamped = dataclasses.replace(event, run=self.run.name, seq=self.seq, time=event.time or time.time())
        line = encode(stamped) + b"\n"
        if self._size and self._size + len(line) > self._rotate_bytes:
            self._rotate()
        self._stream.write(line)
        self._size += len(line)
        return stamped

    def sync(self) -> None:
        """Make everything written so far survive a power cut."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Sync and close."""
        if not self._stream.closed:
            self.sync()
            self._stream.close()

    def _rotate(self) -> None:
        self.sync()
        self._stream.close()
        with self.path.open("rb") as stream:
            first = decode(stream.readline()).seq
        self.path.rename(self.run / f"events-{first:012d}.jsonl")
        self._stream = self.path.open("ab", buffering=0)
        self._size = 0


class JournalReader:
    """The reading side: call `poll` as often as you like, from any process, while the run writes."""

    def __init__(self, run: Path, *, after: int = 0) -> None:
        self.run = run
        self.seq = after
        self._stream: BinaryIO | None = None
        self._rest = b""

    def poll(self, limit: int | None = None) -> list[Event]:
        """Events since the last call, at most `limit`; an unfinished last line waits for the next call."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            if self._stream is None and not self._open_next():
                break
            assert self._stream is not None
            line = self._stream.readline()
            if not line.endswith(b"\n"):
                self._rest += line
                if line or not self._rotated():
                    break
                self._stream.close()
                self._stream = None
                continue
            line, self._rest = self._rest + line, b""
            try:
                event = decode(line)
            except ValueError:
                continue
            if event.seq > self.seq:
                self.seq = event.seq
                events.append(event)
        return events

    def close(self) -> None:
        """Close the file that is open."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open_next(self) -> bool:
        """Open the part that holds the event after `self.seq`."""
        rotated = sorted(self.run.glob(_PARTS))
        chosen: Path | None = None
        for index, part in enumerate(rotated):
            following = _first_seq(rotated[index + 1]) if index + 1 < len(rotated) else None
            if following is None:
                following = _peek_seq(self.run / FILE)
            if following is None or self.seq + 1 < following:
                chosen = part
                break
        chosen = chosen or self.run / FILE
        self._rest = b""
        try:
            self._stream = chosen.open("rb")
        except FileNotFoundError:
            return False
        if self.seq:
            _seek_behind(self._stream, self.seq)
        return True

    def knows(self, seq: int) -> bool:
        """Whether the journal holds an event with this `seq`."""
        for part in reversed(parts(self.run)):
            first = _peek_seq(part)
            if first is not None and first <= seq:
                last = max((event.seq for event in read_file(part, tail=True)), default=0)
                return seq <= last
        return False

    def _rotated(self) -> bool:
        """Whether the open file has been renamed away and completely read."""
        assert self._stream is not None
        try:
            current = (self.run / FILE).stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._stream.fileno())
        if (current.st_ino, current.st_dev) == (mine.st_ino, mine.st_dev):
            return False
        following = _peek_seq(self.run / FILE)
        return following is not None or bool(sorted(self.run.glob(_PARTS)))


def read_file(path: Path, *, tail: bool = False) -> Iterator[Event]:
    """The events of one file; with `tail` only those of its last 64 KiB. Lines that are no events are skipped."""
    with path.open("rb") as stream:
        if tail and (size := stream.seek(0, os.SEEK_END)) > 65536:
            stream.seek(size - 65536)
            stream.readline()
        else:
            stream.seek(0)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line)
            except ValueError:
                continue


def read_events(run: Path) -> Iterator[Event]:
    """All events of a run, oldest first."""
    for part in parts(run):
        yield from read_file(part)


def _first_seq(part: Path) -> int:
    return int(part.stem.rpartition("-")[2])


def _peek_seq(path: Path) -> int | None:
    try:
        with path.open("rb") as stream:
            line = stream.readline()
        return decode(line).seq if line.endswith(b"\n") else None
    except (OSError, ValueError):
        return None


def _seek_behind(stream: BinaryIO, seq: int) -> None:
    """Move close before the first line whose `seq` is larger, by halving: `seq` only ever grows."""
    low, high = 0, stream.seek(0, os.SEEK_END)
    while high - low > 65536:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline()
        try:
            found = decode(stream.readline()).seq
        except ValueError:
            break
        if found <= seq:
            low = middle
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline()


def _end_of_last_line(stream: BinaryIO) -> int:
    """Offset just after the last newline of a file."""
    position = stream.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 65536)
        stream.seek(start)
        block = stream.read(position - start)
        if (index := block.rfind(b"\n")) >= 0:
            return start + index + 1
        position = start
    return 0
