"""The host of a run: starts the worker, drains its queue into the journal, forwards commands, and notices death.

Small and free of torch. It holds the run's lock for life: that, and nothing else, is what "alive" means. Run as a
program (`python -m engine.runs.host RUN`) it is the detached host; `forge-tui --batch` runs the same class inside.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from engine.errors import BusyError, ForgeError, UsageError, error_of
from engine.events import Advice, Control, Done, Event, Failed, Log, Plan, Stopped
from engine.exit_codes import ExitCode
from engine.files import FileLock, is_locked
from engine.runs import death
from engine.runs.channel import Receiver
from engine.runs.control import Command, check, take
from engine.runs.digest import Digest, open_digest, save_quietly
from engine.runs.journal import Journal
from engine.runs.launch import MODEL_LOCK, run_project
from engine.runs.process import start_worker
from engine.runs.state import LOCK, WORKER_LOCK, RunState, advance, read_run, write_state
from engine.runs.worker import WorkerOptions

POLL_SECONDS = 0.1
STATE_SECONDS = 1.0
ORPHAN_SECONDS = 120.0
MAX_MEMORY_RESTARTS = 2

Sink = Callable[[Event], None]
_SIGNAL_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HANGUP,
}


@dataclass
class _Attempt:
    """One life of a worker process."""

    process: BaseProcess
    receiver: Receiver
    commands: Connection
    ended: Event | None = None
    """The event with which it said that it ended."""
    planned: bool = False


class Host:
    """Hosts one run from its start to its end, over as many workers as that takes."""

    def __init__(self, run: Path, sink: Sink | None = None, *, ignore_hangup: bool = False) -> None:
        self.run = run
        self._sink = sink or (lambda event: None)
        self._ignore_hangup = ignore_hangup
        self._lock = FileLock(run / LOCK)
        self._model_lock = FileLock(run.parent / MODEL_LOCK)
        self._signals: list[signal.Signals] = []
        self._stop_code: ExitCode | None = None
        self._stop_requests = 0
        self._state: RunState
        self._journal: Journal
        self._digest: Digest
        self._state_written = 0.0
        self._divisor = 1
        self._trouble = ""

    def host(self) -> ExitCode:
        """Run to the end; returns the exit code of the contract.

        Raises:
            BusyError: another host holds the run or its model.
            ModelError: the run's state cannot be read.
        """
        read_run(self.run)  # whoever waits for the lock takes it for a good start
        if not self._model_lock.acquire() or not self._lock.acquire():
            self._model_lock.release()
            raise BusyError(
                f"{self.run.parents[1].name} is held by another run.", fix="Follow it with `forge-tui attach`."
            )
        previous = self._install_signals()
        try:
            self._state = read_run(self.run).state
            self._journal = Journal(self.run)
            self._digest, reader = open_digest(self.run)
            reader.close()
            try:
                for command in take(self.run):
                    self._refuse(command, "It came when the run was not running.")
                self._wait_for_orphan()
                return self._attempts()
            finally:
                self._save_state(durable=True)
                self._journal.close()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._lock.release()
            self._model_lock.release()

    # ---- attempts

    def _attempts(self) -> ExitCode:
        memory_restarts = 0
        while True:
            killed_before = death.memory_kills()
            attempt = self._start()
            ended = self._follow(attempt)
            if isinstance(ended, Done):
                return ExitCode.DONE
            if isinstance(ended, Stopped | Failed):
                return ExitCode(ended.exit_code)
            if self._stop_code is not None:
                return self._stopped_by_force()
            cause = death.diagnose(attempt.process.exitcode, killed_before, death.memory_kills())
            if cause.code == "killed_for_memory" and memory_restarts < MAX_MEMORY_RESTARTS and attempt.planned:
                memory_restarts += 1
                self._divisor *= 2
                self._record(
                    Advice(
                        code="memory_restart",
                        severity="warning",
                        text=f"{cause.text} Starting again from the last checkpoint with 1/{self._divisor} of the "
                        f"micro-batch (restart {memory_restarts} of {MAX_MEMORY_RESTARTS}).",
                    )
                )
                continue
            self._record(Failed(code=cause.code, text=cause.text, fix=cause.fix, exit_code=int(cause.exit_code)))
            return cause.exit_code

    def _start(self) -> _Attempt:
        started = start_worker(
            WorkerOptions(run=str(self.run), project=str(run_project(self.run).root), divisor=self._divisor)
        )
        self._change(
            phase="preparing", worker_pid=started.process.pid, attempts=self._state.attempts + 1, ended=None,
            exit_code=None, text="", fix="", code="",
        )  # fmt: skip
        return _Attempt(process=started.process, receiver=started.receiver, commands=started.commands)

    def _follow(self, attempt: _Attempt) -> Event | None:
        """Record events until the worker is gone; returns the event with which it ended, if it said one."""

        def handle(event: Event) -> None:
            if isinstance(event, Plan):
                attempt.planned = True
            if isinstance(event, Done | Stopped | Failed):
                attempt.ended = event
            self._record(event)

        started = time.monotonic()
        before = self._state.seconds
        while attempt.process.is_alive():
            event = attempt.receiver.get(POLL_SECONDS)
            if event is not None:
                handle(event)
            self._pump_commands(attempt)
            if time.monotonic() - self._state_written >= STATE_SECONDS:
                self._state = replace(self._state, seconds=before + time.monotonic() - started)
                self._save_state()
        attempt.receiver.drain(handle)
        attempt.process.join()
        attempt.commands.close()
        self._change(worker_pid=None, seconds=before + time.monotonic() - started)
        return attempt.ended

    def _wait_for_orphan(self) -> None:
        """Wait for a worker whose host was killed: it is saving its last checkpoint."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        told = False
        while is_locked(self.run / WORKER_LOCK):
            if not told:
                self._record(Log(text="Waiting for the worker of the earlier host to save and leave."))
                told = True
            if time.monotonic() > deadline:
                raise BusyError(
                    "The worker of an earlier host does not end.",
                    file=self.run,
                    fix="Look for it with `ps` and end it.",
                )
            time.sleep(0.1)

    # ---- commands and signals

    def _pump_commands(self, attempt: _Attempt) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGUSR1:
                self._forward(attempt, Command(command="save", by="SIGUSR1"))
            else:
                self._stop(attempt, by=number.name, code=_SIGNAL_CODES[number])
        for command in take(self.run):
            try:
                check(command)
            except UsageError as error:
                self._refuse(command, str(error))
                continue
            if command.command == "stop":
                self._stop(attempt, by=command.by, code=ExitCode.TERMINATED, command=command)
            elif command.command == "stop_now":
                self._stop_requests += 1
                self._stop(attempt, by=command.by, code=ExitCode.TERMINATED, command=command)
            else:
                self._forward(attempt, command)

    def _stop(self, attempt: _Attempt, *, by: str, code: ExitCode, command: Command | None = None) -> None:
        """First request: finish the step, save, leave. Second: end the worker at once."""
        self._stop_requests += 1
        self._stop_code = self._stop_code or code
        identity = command.id if command else ""
        if self._stop_requests == 1 and attempt.planned:
            self._change(phase="stopping")
            self._forward(attempt, Command(command="stop", by=by, id=identity, value=float(self._stop_code)))
            return
        text = "Stopped at once." if attempt.planned else "Stopped before training began."
        self._record(Control(command="stop_now", by=by, id=identity, text=text))
        attempt.process.kill()

    def _stopped_by_force(self) -> ExitCode:
        assert self._stop_code is not None
        self._record(
            Stopped(
                step=self._state.checkpoint_step or 0,
                reason="stopped at once",
                exit_code=int(self._stop_code),
                checkpoint=self._state.checkpoint,
            )
        )
        return self._stop_code

    def _forward(self, attempt: _Attempt, command: Command) -> None:
        if not attempt.planned:
            self._refuse(command, "Training has not begun yet.")
            return
        try:
            attempt.commands.send_bytes(msgspec.json.encode(command))
        except OSError:
            self._refuse(command, "The worker has ended.")

    def _refuse(self, command: Command, reason: str) -> None:
        self._record(Control(command=command.command, by=command.by, id=command.id, accepted=False, text=reason))

    def _install_signals(self) -> dict[signal.Signals, Any]:
        previous: dict[signal.Signals, Any] = {}

        def handler(number: int, frame: FrameType | None) -> None:
            self._signals.append(signal.Signals(number))

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            present = signal.getsignal(number)
            if number == signal.SIGHUP and (self._ignore_hangup or present is signal.SIG_IGN):
                signal.signal(number, signal.SIG_IGN)
            else:
                signal.signal(number, handler)
            previous[number] = present
        return previous

    # ---- record keeping

    def _record(self, event: Event) -> None:
        stamped = self._journal.append(event)
        if self._journal.trouble != self._trouble:
            self._trouble = self._journal.trouble
            if self._trouble:
                self._warn(f"The journal cannot be written ({self._trouble.lower()}): progress is not recorded.")
        before = self._state.phase
        self._state = advance(self._state, stamped)
        if isinstance(event, Control) and event.accepted and event.command in ("pause", "resume"):
            self._state = replace(self._state, phase="paused" if event.command == "pause" else "training")
        self._digest.update(stamped)
        ended = isinstance(event, Done | Stopped | Failed)
        if ended or self._digest.save_due:
            save_quietly(self._digest, self.run)
        if ended:
            self._journal.sync()
        if self._state.phase != before or ended:
            self._save_state()
        self._sink(stamped)

    def _change(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        self._save_state()

    def _save_state(self, *, durable: bool = False) -> None:
        self._state_written = time.monotonic()
        try:
            write_state(self.run, self._state, durable=durable)
        except ForgeError as error:
            # A full disk must not end the training; the journal tells the same story once there is space.
            self._warn(f"state.json could not be written: {error}")

    def _warn(self, text: str) -> None:
        """Tell whoever listens what cannot be recorded."""
        self._sink(Log(level="warning", text=text, run=self.run.name, time=time.time()))


def start_detached(run: Path, *, timeout: float = 20.0) -> None:
    """Start a host of its own session for `run`, and return once it holds the run.

    Raises:
        ForgeError: it ended instead; the message is the last line of its log.
    """
    log = run / "host.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.runs.host", str(run)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env=detached_environment(),
        )
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if is_locked(run / LOCK):
            return
        if process.poll() is not None:
            if process.returncode == 0:
                return
            raise _host_error(log, process.returncode)
        time.sleep(0.02)
    raise ForgeError("The host did not start in time.", file=log)


def _host_error(log: Path, code: int) -> ForgeError:
    """Why a host ended at once, from the last line of its log and its exit code."""
    lines = log.read_text(errors="replace").strip().splitlines()
    text = lines[-1].removeprefix("forge-tui: ") if lines else "The host ended at once."
    known = code if code in set(ExitCode) else ExitCode.FAILED
    return error_of("busy" if known == ExitCode.BUSY else "failed", text, f"Its log: {log}", known)


def detached_environment() -> dict[str, str]:
    """The environment of a detached host: ours, with this package importable from any folder."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def main() -> int:
    """Entry point of the detached host."""
    run = Path(sys.argv[1]).resolve()
    os.umask(0o077 & os.umask(0o077))
    try:
        return int(Host(run, ignore_hangup=True).host())
    except ForgeError as error:
        print(f"forge-tui: {error}", file=sys.stderr)
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
