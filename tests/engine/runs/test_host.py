"""The host with workers that do as they are told: ends, deaths, restarts, commands, signals, locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BusyError, ForgeError
from engine.events import Advice, Control, Done, Event, Failed, Log, Stopped
from engine.exit_codes import ExitCode
from engine.files import FileLock, is_locked
from engine.runs import death
from engine.runs.control import FOLDER, Command, send
from engine.runs.host import Host, start_detached
from engine.runs.journal import FILE, read_events
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import LOCK, WORKER_LOCK, RunState, read_run, write_state
from tests.engine.runs import fake_worker
from tests.engine.runs.fake_worker import attempts, write_script


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a new run, whose workers follow a script."""
    monkeypatch.setattr("engine.runs.process.worker_main", fake_worker.main)
    run = tmp_path / "models" / "m" / "runs" / "r1"
    (run / FOLDER).mkdir(parents=True)
    write_state(run, RunState(run="r1", model="m", created=1.0))
    return run


class Hosted:
    """What came of hosting a run."""

    def __init__(self, run: Path, when: dict[str, Callable[[], object]] | None = None) -> None:
        self.run = run
        self.heard: list[Event] = []
        self._when = dict(when or {})
        self.code = Host(run, self._hear).host()
        self.events = list(read_events(run))
        self.state = read_run(run).state

    def _hear(self, event: Event) -> None:
        self.heard.append(event)
        if act := self._when.pop(event.event, None):
            threading.Timer(0.1, act).start()

    def controls(self) -> list[Control]:
        return [event for event in self.events if isinstance(event, Control)]


# ---- ends


def test_a_run_that_finishes(run: Path) -> None:
    write_script(run, "log 10", "plan", "step", "log 9000", "checkpoint", "done")
    hosted = Hosted(run)
    assert hosted.code == ExitCode.DONE
    assert [event.event for event in hosted.events] == ["log", "plan", "step", "log", "checkpoint", "done"]
    assert [event.seq for event in hosted.events] == [1, 2, 3, 4, 5, 6]
    assert hosted.heard == hosted.events
    assert all(event.run == "r1" and event.time > 1e9 for event in hosted.events)
    state = hosted.state
    assert (state.phase, state.exit_code, state.attempts, state.worker_pid) == ("finished", 0, 1, None)
    assert not is_locked(run / LOCK) and not is_locked(run.parent / MODEL_LOCK)


@pytest.mark.parametrize(
    ("script", "code", "phase"), [("failed", ExitCode.DIVERGED, "failed"), ("stopped", ExitCode.TERMINATED, "stopped")]
)
def test_what_the_worker_says_is_the_exit_code(run: Path, script: str, code: ExitCode, phase: str) -> None:
    write_script(run, "plan", script)
    hosted = Hosted(run)
    assert hosted.code == code and hosted.state.phase == phase and hosted.state.exit_code == code


def test_the_journal_goes_on_after_a_restart(run: Path) -> None:
    write_script(run, "plan", "stopped", "then", "plan", "done")
    assert Hosted(run).code == ExitCode.TERMINATED
    hosted = Hosted(run)
    assert hosted.code == ExitCode.DONE and [event.seq for event in hosted.events] == [1, 2, 3, 4]
    assert hosted.state.attempts == 2 and hosted.state.text == ""


# ---- deaths


@pytest.mark.parametrize(
    ("action", "code", "says"),
    [
        (f"kill {int(signal.SIGKILL)}", "killed", "killed (SIGKILL) by somebody"),
        (f"kill {int(signal.SIGSEGV)}", "crashed", "a segmentation fault"),
        ("step", "worker_lost", "without a word"),
    ],
)
def test_a_death_without_a_word_is_named(run: Path, action: str, code: str, says: str) -> None:
    write_script(run, "plan", "step", action)
    hosted = Hosted(run)
    assert hosted.code == ExitCode.FAILED and hosted.state.phase == "failed" and hosted.state.code == code
    last = hosted.events[-1]
    assert isinstance(last, Failed) and says in last.text and "same command again" in last.fix
    assert len(attempts(run)) == 1


@pytest.fixture
def kernel_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's counter grows with every look."""
    count = iter(range(1000))
    monkeypatch.setattr(death, "memory_kills", lambda: next(count))


@pytest.mark.usefixtures("kernel_kills")
def test_killed_for_memory_is_tried_again_with_less(run: Path) -> None:
    write_script(run, "plan", "kill 9", "then", "plan", "done")
    hosted = Hosted(run)
    assert hosted.code == ExitCode.DONE
    assert [attempt["divisor"] for attempt in attempts(run)] == [1, 2]
    (advice,) = [event for event in hosted.events if isinstance(event, Advice)]
    assert advice.code == "memory_restart" and "1/2 of the micro-batch (restart 1 of 2)" in advice.text


@pytest.mark.usefixtures("kernel_kills")
def test_killed_for_memory_again_and_again(run: Path) -> None:
    write_script(run, "plan", "kill 9")
    hosted = Hosted(run)
    assert hosted.code == ExitCode.MEMORY and hosted.state.code == "killed_for_memory"
    assert [attempt["divisor"] for attempt in attempts(run)] == [1, 2, 4]


@pytest.mark.usefixtures("kernel_kills")
def test_killed_for_memory_before_it_began_is_not_tried_again(run: Path) -> None:
    write_script(run, "kill 9")
    assert Hosted(run).code == ExitCode.MEMORY and len(attempts(run)) == 1


# ---- commands


def test_commands_reach_the_worker_and_come_back(run: Path) -> None:
    write_script(run, "plan", "obey")
    sent: list[Command] = []

    def ask() -> None:
        for command in (
            Command(command="pause"), Command(command="resume"), Command(command="save"),
            Command(command="set_learning_rate", value=0.5), Command(command="sample", prompt="x"),
            Command(command="stop"),
        ):  # fmt: skip
            sent.append(send(run, command))

    hosted = Hosted(run, {"plan": ask})
    assert hosted.code == ExitCode.TERMINATED
    answers = {control.id: control for control in hosted.controls()}
    assert list(answers) == [command.id for command in sent]
    assert all(control.accepted for control in answers.values())
    assert answers[sent[3].id].text == "value 0.5" and answers[sent[5].id].text == "value 143.0"


def test_pause_and_resume_show_in_the_state(run: Path) -> None:
    write_script(run, "plan", "obey")
    phases: list[str] = []

    def watch() -> None:
        for name in ("pause", "resume"):
            before = read_run(run).phase
            send(run, Command(command=name))  # type: ignore[arg-type]
            deadline = time.monotonic() + 60
            while read_run(run).phase == before and time.monotonic() < deadline:
                time.sleep(0.05)
            phases.append(read_run(run).phase)
        send(run, Command(command="stop"))

    Hosted(run, {"plan": watch})
    assert phases == ["paused", "training"]


def test_stop_now_ends_the_worker_at_once(run: Path) -> None:
    write_script(run, "plan", "checkpoint", "sleep 30")
    began = time.monotonic()
    hosted = Hosted(run, {"checkpoint": lambda: send(run, Command(command="stop_now"))})
    assert hosted.code == ExitCode.TERMINATED and time.monotonic() - began < 25
    last = hosted.events[-1]
    assert isinstance(last, Stopped) and last.step == 5 and last.checkpoint == "checkpoints/step-00000005"
    assert hosted.controls()[-1].text == "Stopped at once."


def test_a_second_stop_does_not_wait(run: Path) -> None:
    write_script(run, "plan", "sleep 30")
    hosted = Hosted(run, {"plan": lambda: [send(run, Command(command="stop")) for _ in range(2)]})
    assert hosted.code == ExitCode.TERMINATED and hosted.state.phase == "stopped"


def test_before_training_a_stop_just_ends_it_and_the_rest_is_refused(run: Path) -> None:
    write_script(run, "log 5", "sleep 30")

    def ask() -> None:
        send(run, Command(command="save"))
        send(run, Command(command="stop"))

    hosted = Hosted(run, {"log": ask})
    assert hosted.code == ExitCode.TERMINATED
    save, stop = hosted.controls()
    assert (save.accepted, save.text) == (False, "Training has not begun yet.")
    assert stop.accepted and stop.text == "Stopped before training began."


def test_commands_from_before_the_start_are_refused(run: Path) -> None:
    """Else a stop that came a moment too late would end the next attempt."""
    send(run, Command(command="stop"))
    write_script(run, "plan", "done")
    hosted = Hosted(run)
    assert hosted.code == ExitCode.DONE
    (refused,) = hosted.controls()
    assert not refused.accepted and "not running" in refused.text


def test_commands_with_impossible_arguments_are_refused(run: Path) -> None:
    write_script(run, "plan", "obey")

    def drop(name: str, text: str) -> None:
        written = run / FOLDER / f".{name}"
        written.write_text(text)
        written.rename(run / FOLDER / name)

    def ask() -> None:
        drop("1.json", '{"command": "set_learning_rate", "value": -1, "id": "a"}')
        drop("2.json", '{"command": "sample", "id": "b"}')
        send(run, Command(command="stop"))

    hosted = Hosted(run, {"plan": ask})
    refused = [control for control in hosted.controls() if not control.accepted]
    assert [control.id for control in refused] == ["a", "b"] and "above 0" in refused[0].text


# ---- signals


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGHUP, ExitCode.HANGUP),
    ],
)
def test_signals_stop_with_their_own_code(run: Path, number: signal.Signals, code: ExitCode) -> None:
    write_script(run, "plan", "obey")
    before = signal.getsignal(number)
    hosted = Hosted(run, {"plan": lambda: os.kill(os.getpid(), number)})
    assert hosted.code == code
    assert hosted.controls()[0].by == number.name
    assert signal.getsignal(number) is before, "the handlers are given back"


def test_sigusr1_saves(run: Path) -> None:
    write_script(run, "plan", "obey")

    def signals() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    hosted = Hosted(run, {"plan": signals})
    assert [control.command for control in hosted.controls()] == ["save", "stop"]


def test_a_signal_twice_stops_at_once(run: Path) -> None:
    write_script(run, "plan", "sleep 30")

    def signals() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    assert Hosted(run, {"plan": signals}).code == ExitCode.INTERRUPTED
    assert time.monotonic() - began < 25


# ---- locks and files


def test_one_host_at_a_time(run: Path) -> None:
    write_script(run, "plan", "done")
    for name in (run / LOCK, run.parent / MODEL_LOCK):
        with FileLock(name) as lock:
            assert lock.acquire()
            with pytest.raises(BusyError, match="is held by another run"):
                Host(run).host()
    assert not (run / FILE).exists()
    assert Hosted(run).code == ExitCode.DONE


def test_the_worker_of_a_dead_host_is_waited_for(run: Path) -> None:
    write_script(run, "plan", "done")
    script = "import sys, time; from pathlib import Path; from engine.files import FileLock\n"
    script += "lock = FileLock(Path(sys.argv[1])); lock.acquire(); print(1, flush=True); time.sleep(1)"
    orphan = subprocess.Popen([sys.executable, "-c", script, str(run / WORKER_LOCK)], stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    orphan.stdout.readline()
    began = time.monotonic()
    hosted = Hosted(run)
    orphan.wait()
    orphan.stdout.close()
    assert hosted.code == ExitCode.DONE and time.monotonic() - began > 0.5
    assert isinstance(hosted.events[0], Log) and "Waiting for the worker" in hosted.events[0].text


def test_a_state_that_cannot_be_written_is_said_and_survived(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_script(run, "plan", "step", "done")

    def full(*arguments: object, **options: object) -> None:
        raise ForgeError("No space left on the device.")

    monkeypatch.setattr("engine.runs.host.write_state", full)
    heard: list[Event] = []
    assert Host(run, heard.append).host() == ExitCode.DONE
    said = [event.text for event in heard if isinstance(event, Log)]
    assert said and all("state.json could not be written" in text for text in said)
    assert isinstance(list(read_events(run))[-1], Done)


def test_a_journal_that_cannot_be_written_is_said_and_survived(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_script(run, "plan", "step", "step", "done")
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b'"event":"step"' in data:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("engine.runs.journal.os.write", full)
    heard: list[Event] = []
    assert Host(run, heard.append).host() == ExitCode.DONE
    said = [event.text for event in heard if isinstance(event, Log)]
    assert said == ["The journal cannot be written (no space left on device): progress is not recorded."]
    assert [(event.seq, event.event) for event in read_events(run)] == [(1, "plan"), (2, "done")]


# ---- detached


def test_a_detached_host_that_cannot_start_says_why(run: Path) -> None:
    with FileLock(run / LOCK) as lock:
        assert lock.acquire()
        lock.release()
        with FileLock(run.parent / MODEL_LOCK) as model:
            assert model.acquire()
            with pytest.raises(ForgeError, match="is held by another run") as caught:
                start_detached(run)
    assert caught.value.exit_code == ExitCode.BUSY
    (run / "state.json").write_text("{")
    with pytest.raises(ForgeError, match="state cannot be read"):
        start_detached(run)
