"""events.jsonl: the durable record of a run, appended by its host and read by any number of viewers."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.events import Device, Event, Step, decode, encode
from engine.files import os_error

FILE = "events.jsonl"
ROTATE_BYTES = 50_000_000
BLOCK_BYTES = 262_144
"""Bytes that a reader takes at once."""

_PART = re.compile(r"events-(\d{12})\.jsonl")


def parts(run: Path) -> list[Path]:
    """The journal's files from oldest to newest; those that were rotated away carry their first `seq`."""
    try:
        names = [path.name for path in run.iterdir()]
    except FileNotFoundError:
        return []
    rotated = sorted(name for name in names if _PART.fullmatch(name))
    return [run / name for name in (*rotated, *([FILE] if FILE in names else []))]


class Journal:
    """The writing side. Exactly one process (the host, under the run's lock) has it open.

    A full disk ends nothing: progress goes unrecorded while it lasts, everything else waits and is written later.
    """

    def __init__(self, run: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Open or create the journal of a run.

        Raises:
            ForgeError: the files cannot be opened.
        """
        self.run = run
        self.path = run / FILE
        self.trouble = ""
        """Why the last write failed; empty when it did not."""
        self._rotate_bytes = rotate_bytes
        self._waiting: deque[bytes] = deque()
        try:
            self.seq = self._repair()
            self._first = _peek_seq(self.path) or self.seq + 1
            self._descriptor = self._open()
        except OSError as error:
            raise os_error(error, self.path) from error
        self._size = os.fstat(self._descriptor).st_size

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _repair(self) -> int:
        """Cut a torn last line off and return the last complete `seq`."""
        if self.path.exists():
            with self.path.open("r+b") as stream:
                keep = _end_of_last_line(stream)
                if keep != stream.seek(0, os.SEEK_END):
                    stream.truncate(keep)
        return next((last for part in reversed(parts(self.run)) if (last := _last_seq(part))), 0)

    def append(self, event: Event) -> Event:
        """Write one event; returns it with `run`, `seq` and `time` filled in."""
        self.seq += 1
        stamped = msgspec.structs.replace(event, run=self.run.name, seq=self.seq, time=event.time or time.time())
        self._waiting.append(encode(stamped) + b"\n")
        if not self._write_waiting() and isinstance(event, Step | Device):
            self._waiting.pop()
            self.seq -= 1
        return stamped

    def sync(self) -> None:
        """Make everything written so far survive a power cut, if the disk lets us."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def close(self) -> None:
        """Sync and close."""
        if self._descriptor >= 0:
            self._write_waiting()
            self.sync()
            os.close(self._descriptor)
            self._descriptor = -1

    def _write_waiting(self) -> bool:
        """Write the lines that wait; False when the disk does not take them all."""
        try:
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return False
        self.trouble = ""
        return True

    def _write(self, line: bytes) -> None:
        if self._size and self._size + len(line) > self._rotate_bytes:
            self._rotate()
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(0, "only a part of a line could be written")
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def _rotate(self) -> None:
        rotated = self.run / f"events-{self._first:012d}.jsonl"
        self.path.rename(rotated)
        try:
            fresh = self._open()
        except OSError:
            rotated.rename(self.path)
            raise
        self.sync()
        os.close(self._descriptor)
        self._descriptor, self._size = fresh, 0
        self._first = self.seq - len(self._waiting) + 1


class JournalReader:
    """The reading side: call `poll` as often as you like, from any process, while the run writes."""

    def __init__(self, run: Path, *, after: int = 0) -> None:
        self.run = run
        self.seq = after
        """Of the last event that was returned."""
        self._stream: BinaryIO | None = None
        self._offset = 0

    def poll(self, limit: int | None = None) -> list[Event]:
        """Events since the last call, at most `limit`; an unfinished last line waits for the next call."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            if self._stream is None and not self._open_next():
                break
            lines = self._lines()
            if not lines and not self._is_finished():
                break
            if not lines:
                self.close()
            for line in lines:
                self._offset += len(line)
                event = _event_of(line)
                if event is None or event.seq <= self.seq:
                    continue
                self.seq = event.seq
                events.append(event)
                if len(events) == limit:
                    break
        return events

    def close(self) -> None:
        """Close the file that is open."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def knows(self, seq: int) -> bool:
        """Whether the journal holds an event with this `seq`."""
        for part in reversed(parts(self.run)):
            first = _peek_seq(part)
            if first is not None and first <= seq:
                return seq <= _last_seq(part)
        return False

    def _lines(self) -> list[bytes]:
        """The next complete lines, about BLOCK_BYTES of them; none at the end of the file.

        The file is asked anew every time: what was there of a torn line may be cut off and written over.
        """
        assert self._stream is not None
        size = BLOCK_BYTES
        while True:
            block = os.pread(self._stream.fileno(), size, self._offset)
            end = block.rfind(b"\n") + 1
            if end or len(block) < size:
                return [line + b"\n" for line in block[:end].split(b"\n")[:-1]]
            size *= 4

    def _open_next(self) -> bool:
        """Open the part that holds the event after `self.seq`; False when there is nothing yet."""
        while index := _index(self.run):
            known = [entry for entry in index if entry[0] is not None and entry[0] <= self.seq + 1]
            first, chosen = known[-1] if known else index[0]
            try:
                stream = chosen.open("rb")
            except FileNotFoundError:
                continue
            if chosen.name != FILE or _first_seq(stream) == first:
                self._stream = stream
                self._offset = _offset_behind(stream, self.seq) if self.seq else 0
                return True
            stream.close()  # it was rotated away between the two looks
        return False

    def _is_finished(self) -> bool:
        """Whether the open file is complete and another one goes on where it ends."""
        assert self._stream is not None
        mine = os.fstat(self._stream.fileno())
        following: int | None = None
        for first, part in reversed(_index(self.run)):
            try:
                if os.path.samestat(part.stat(), mine):
                    break
            except FileNotFoundError:
                return False
            following = first if first is not None else following
        if following is None or self._lines():
            return False
        self.seq = max(self.seq, following - 1)
        return True


def _index(run: Path) -> list[tuple[int | None, Path]]:
    """The parts, each with the `seq` of its first event, as they were at one moment."""
    while True:
        found = parts(run)
        index = [(_peek_seq(part), part) for part in found]
        if parts(run) == found:
            return index


def read_file(path: Path) -> Iterator[Event]:
    """The events of one file. Lines that are no events are skipped, as is an unfinished last line."""
    with path.open("rb") as stream:
        for line in stream:
            event = _event_of(line)
            if event is not None:
                yield event


def read_events(run: Path) -> Iterator[Event]:
    """All events of a run, oldest first."""
    for part in parts(run):
        yield from read_file(part)


def _event_of(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return decode(line)
    except ValueError:
        return None


def _peek_seq(path: Path) -> int | None:
    """`seq` of a file's first event; a rotated file has it in its name."""
    if rotated := _PART.fullmatch(path.name):
        return int(rotated.group(1))
    try:
        with path.open("rb") as stream:
            return _first_seq(stream)
    except OSError:
        return None


def _first_seq(stream: BinaryIO) -> int | None:
    stream.seek(0)
    for line in stream:
        if (event := _event_of(line)) is not None:
            return event.seq
    return None


def _last_seq(path: Path) -> int:
    """`seq` of a file's last event; 0 when it has none."""
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        window = 65536
        while True:
            stream.seek(max(0, size - window))
            lines = stream.read(window).split(b"\n")
            for line in reversed(lines[:-1] if window >= size else lines[1:-1]):
                if (event := _event_of(line + b"\n")) is not None:
                    return event.seq
            if window >= size:
                return 0
            window *= 8


def _offset_behind(stream: BinaryIO, seq: int) -> int:
    """Where, at the latest, the first line begins whose `seq` is larger: found by halving, as `seq` only grows."""
    low, high = 0, stream.seek(0, os.SEEK_END)
    while high - low > 65536:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline()
        event = _event_of(stream.readline())
        if event is None:
            break
        if event.seq <= seq:
            low = middle
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline()
    return stream.tell()


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
