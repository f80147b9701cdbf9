"""The worker: the subprocess that trains. Importing this module is light; torch comes in only once it runs."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import ForgeError
from engine.events import Failed
from engine.exit_codes import ExitCode
from engine.files import FileLock
from engine.project import Project
from engine.runs.channel import Reporter
from engine.runs.control import Command
from engine.typed import decode_json

ORPHAN_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """What the host tells a worker."""

    run: str
    """The run's folder."""
    project: str
    """The project's folder."""
    divisor: int = 1
    """The micro-batch is divided by this (after a kill for memory)."""
    plan_only: bool = False
    """Say what would be done, and leave."""


def main(events: Any, commands: Connection, encoded: bytes) -> None:
    """Entry point of the spawned process: train the run, report on `events`, and always leave by `os._exit`."""
    options = decode_json(encoded, WorkerOptions)
    run = Path(options.run)
    _detach_output(run / "worker.log")
    _prefer_our_death()
    reporter = Reporter(events, commands)
    _listen_to_signals(reporter)
    _watch_host(reporter)
    code = _guarded(run, reporter, lambda: _train(run, reporter, options))
    reporter.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Library threads must not keep a finished worker alive, nor hold a device.
    os._exit(code)


def _train(run: Path, reporter: Reporter, options: WorkerOptions) -> int:
    from engine.runs.state import WORKER_LOCK

    lock = FileLock(run / WORKER_LOCK)
    if not lock.acquire(timeout=5.0):
        raise ForgeError("Another worker is still busy with this run.", file=run)
    from engine.training.trainer import plan_run, train_run

    project = Project(Path(options.project))
    if options.plan_only:
        return plan_run(run, project, reporter)
    return train_run(run, project, reporter, divisor=options.divisor)


def _guarded(run: Path, reporter: Reporter, body: Callable[[], int]) -> int:
    """Run `body`; every error becomes a `failed` event with one sentence, the traceback goes to the log."""
    try:
        return body()
    except ForgeError as error:
        traceback.print_exc()
        reporter(Failed(code=error.code, text=_located(error), fix=error.fix, exit_code=int(error.exit_code)))
        return int(error.exit_code)
    except MemoryError as error:
        traceback.print_exc()
        reporter(
            Failed(
                code="out_of_memory",
                text=f"Out of memory: {error or 'no more to be had'}.",
                fix="Use a smaller batch_size, sequence_length or size.",
                exit_code=int(ExitCode.MEMORY),
            )
        )
        return int(ExitCode.MEMORY)
    except Exception as error:  # noqa: BLE001 - the last line of defence: report, never vanish
        traceback.print_exc()
        reporter(
            Failed(
                code="error",
                text=f"{type(error).__name__}: {str(error)[:500] or 'no message'}",
                fix=f"The traceback is in {run.name}/worker.log. Run the same command again to continue.",
                exit_code=int(ExitCode.FAILED),
            )
        )
        return int(ExitCode.FAILED)


def _located(error: ForgeError) -> str:
    return f"{error.where}: {error.text}" if error.where else error.text


def _detach_output(log: Path) -> None:
    """Send everything that this process or its libraries print to the run's log, never to a terminal."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="replace", closefd=False)
    faulthandler.enable(sys.stderr)
    print(f"---- worker {os.getpid()} {time.strftime('%Y-%m-%d %H:%M:%S')}")


def _prefer_our_death() -> None:
    """When memory runs out, the kernel shall take the worker: the host lives to tell, and so does the login."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError as error:
        print(f"oom_score_adj not set: {error}")


def _listen_to_signals(reporter: Reporter) -> None:
    """SIGTERM saves and stops, SIGUSR1 saves; the terminal's Ctrl-C and hang-up are the host's business."""

    def stop(number: int, frame: FrameType | None) -> None:
        reporter.inject(Command(command="stop", by=signal.Signals(number).name, value=float(ExitCode.TERMINATED)))

    def save(number: int, frame: FrameType | None) -> None:
        reporter.inject(Command(command="save", by=signal.Signals(number).name))

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, save)
    # Held back until now by whoever started us: a Ctrl-C would have hit the imports.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def _watch_host(reporter: Reporter) -> None:
    """When the host dies, have the trainer save and leave; insist after a while, so that no orphan holds a device."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        print("The host has died: saving and leaving.")
        reporter.orphaned.set()
        time.sleep(ORPHAN_SECONDS)
        print("Still here: leaving without a checkpoint.")
        os._exit(int(ExitCode.FAILED))

    threading.Thread(target=watch, name="watch-host", daemon=True).start()
