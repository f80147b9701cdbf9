"""Starting the worker's process, for a run and for a look at its plan."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from engine.runs.channel import QUEUE_SIZE, Receiver
from engine.runs.environment import worker_environment
from engine.runs.worker import WorkerOptions
from engine.runs.worker import main as worker_main

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal or a batch system sends to a whole group of processes at once."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that was started, and the ends of its channels."""

    process: BaseProcess
    receiver: Receiver
    commands: Connection


def start_worker(options: WorkerOptions) -> WorkerProcess:
    """Start a worker; it is no daemon, so that it may have processes of its own."""
    context = multiprocessing.get_context("spawn")
    events = context.Queue(QUEUE_SIZE)
    theirs, ours = context.Pipe(duplex=False)
    process = context.Process(
        target=worker_main, args=(events, theirs, msgspec.json.encode(options)), name="forge-worker", daemon=False
    )
    with worker_environment(), blocked(TERMINAL_SIGNALS):
        process.start()
    theirs.close()
    return WorkerProcess(process, Receiver(events), ours)


@contextmanager
def blocked(signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Hold signals back, also from processes started inside until they take them: a Ctrl-C must not hit their start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
