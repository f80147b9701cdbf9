"""The multiprocessing queue between worker and host: typed events, in messages that a pipe writes in one piece.

A worker that is killed in the middle of a large message would leave its reader waiting for ever; messages of less than
4 KiB are written to the pipe in one piece or not at all, so larger events are cut and put together again.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

import msgspec

from engine.events import Device, Event, Step, decode, encode
from engine.runs.control import Command
from engine.typed import decode_json

CHUNK_BYTES = 3000
QUEUE_SIZE = 1000


class EventQueue(Protocol):
    """What we use of a `multiprocessing.Queue`."""

    def put_nowait(self, item: Any, /) -> None: ...
    def get(self, block: bool = ..., timeout: float | None = ...) -> Any: ...
    def get_nowait(self) -> Any: ...
    def close(self) -> None: ...
    def join_thread(self) -> None: ...
    def cancel_join_thread(self) -> None: ...


class Reporter:
    """The worker's end. Reporting never waits for a reader: progress is dropped when nobody reads, the rest is kept."""

    def __init__(self, events: EventQueue, commands: Connection | None = None) -> None:
        self._events = events
        self._commands = commands
        self._backlog: collections.deque[tuple[int, int, int, bytes]] = collections.deque()
        self._number = 0
        self._lock = threading.Lock()
        self.orphaned = threading.Event()
        """Set when the host has died."""
        self._injected: collections.deque[Command] = collections.deque()

    def __call__(self, event: Event) -> None:
        """Send an event."""
        if self.orphaned.is_set():
            return
        stamped = event if event.time else msgspec.structs.replace(event, time=time.time())
        data = encode(stamped)
        with self._lock:
            self._flush()
            if self._backlog and isinstance(event, Step | Device):
                return
            self._number += 1
            pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
            for index, piece in enumerate(pieces):
                self._backlog.append((self._number, index, len(pieces), piece))
            self._flush()

    def _flush(self) -> None:
        while self._backlog:
            try:
                self._events.put_nowait(self._backlog[0])
            except queue.Full:
                return
            self._backlog.popleft()

    def inject(self, command: Command) -> None:
        """Queue a command that did not come from the host, such as a signal."""
        self._injected.append(command)

    def commands(self) -> list[Command]:
        """The commands that have come in, oldest first; never waits."""
        found = []
        while self._injected:
            found.append(self._injected.popleft())
        try:
            while self._commands is not None and self._commands.poll():
                found.append(decode_json(self._commands.recv_bytes(), Command))
        except (EOFError, OSError):
            self._commands = None
        return found

    def close(self, timeout: float = 5.0) -> None:
        """Send what is left and end the queue's thread; gives up when nobody reads."""
        deadline = time.monotonic() + timeout
        while self._backlog and not self.orphaned.is_set() and time.monotonic() < deadline:
            with self._lock:
                self._flush()
            if self._backlog:
                time.sleep(0.02)
        if self._backlog or self.orphaned.is_set():
            self._events.cancel_join_thread()
        self._events.close()
        self._events.join_thread()


class Receiver:
    """The host's end."""

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._pieces: dict[int, list[bytes]] = {}

    def get(self, timeout: float) -> Event | None:
        """The next event, or None when nothing came for `timeout` seconds."""
        while True:
            try:
                message = self._events.get(True, timeout) if timeout > 0 else self._events.get_nowait()
            except queue.Empty:
                return None
            event = self._assemble(message)
            if event is not None:
                return event

    def drain(self, handle: Callable[[Event], None]) -> None:
        """Handle everything that is still in the queue of a dead worker."""
        quiet = 0
        while quiet < 2:
            event = self.get(0.05)
            if event is None:
                quiet += 1
            else:
                quiet = 0
                handle(event)

    def _assemble(self, message: tuple[int, int, int, bytes]) -> Event | None:
        number, index, total, piece = message
        if total == 1:
            return decode(piece)
        pieces = self._pieces.setdefault(number, [])
        pieces.append(piece)
        if index + 1 < total:
            return None
        return decode(b"".join(self._pieces.pop(number)))
