"""Whatever is killed, and however: the same command continues, and ends with the very weights of an undisturbed run."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.events import Advice, Checkpoint, Control, Done, Failed, Resumed, Step, Stopped
from engine.exit_codes import ExitCode
from engine.runs.control import Command, send
from engine.runs.host import Host
from engine.runs.journal import read_events
from engine.runs.state import read_run
from engine.training.checkpoint import same_tensors

from . import processes as p
from .engine.training.conftest import corpus

TEXT = corpus(6)


@pytest.fixture(autouse=True)
def no_orphans(tmp_path: Path) -> Iterator[None]:
    """After every test no process of ours remains."""
    yield
    assert not p.processes_of(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody touched."""
    project, job = p.make_project(tmp_path_factory.mktemp("calm") / "project", TEXT)
    return p.finish(project, job)[1]


def past(step: int):  # type: ignore[no-untyped-def]
    return lambda event: isinstance(event, Step) and event.step >= step


def assert_same(run: Path, undisturbed: Path) -> None:
    assert same_tensors(p.final_tensors(run), p.final_tensors(undisturbed))
    seqs = [event.seq for event in read_events(run)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert read_run(run).phase == "finished"
    assert not p.processes_of(run.parents[3])


def test_a_killed_worker_is_named_and_the_same_command_continues(tmp_path: Path, undisturbed: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT)
    host, run = p.start(project, job)
    p.wait_for(run, lambda event: isinstance(event, Checkpoint) and event.reason == "schedule")
    p.kill(p.worker_pid(run))
    assert host.wait(30) == ExitCode.FAILED
    failed = [event for event in read_events(run) if isinstance(event, Failed)][-1]
    assert failed.code == "killed" and "SIGKILL" in failed.text and "same command" in failed.fix
    p.finish(project, job)
    assert any(isinstance(event, Resumed) and "bit for bit" in event.text for event in read_events(run))
    assert_same(run, undisturbed)


KERNEL = """
import itertools, sys
from engine.runs import death, host
count = itertools.count()
death.memory_kills = lambda: next(count)
sys.exit(host.main())
"""
"""A host that sees the kernel's counter of kills for memory rise with every attempt."""


def test_a_worker_killed_for_memory_is_started_again_with_half_the_micro_batch(tmp_path: Path) -> None:
    exactly = 'train.mixed_precision="fp32"'  # in bfloat16 the order of sums shows in the third digit
    undisturbed = p.finish(*p.make_project(tmp_path / "calm", TEXT, exactly))[1]
    project, job = p.make_project(tmp_path / "project", TEXT, exactly)
    host, run = p.start(project, job, ("-c", KERNEL))
    p.wait_for(run, lambda event: isinstance(event, Checkpoint) and event.reason == "schedule")
    p.kill(p.worker_pid(run))
    assert host.wait(120) == ExitCode.DONE
    events = list(read_events(run))
    (advice,) = (event for event in events if isinstance(event, Advice) and event.code == "memory_restart")
    assert "1/2 of the micro-batch" in advice.text
    assert any(isinstance(event, Resumed) and event.seq > advice.seq for event in events)
    ours, theirs = p.final_tensors(run), p.final_tensors(undisturbed)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 0.02  # the same steps, cut otherwise
    (done, calm) = (next(e for e in read_events(folder) if isinstance(e, Done)) for folder in (run, undisturbed))
    assert done.tokens == calm.tokens and done.val_bpb == pytest.approx(calm.val_bpb, abs=1e-3)


def test_a_killed_host_leaves_no_orphan_and_loses_nothing(tmp_path: Path, undisturbed: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT)
    host, run = p.start(project, job)
    p.wait_for(run, past(20))
    worker = p.worker_pid(run)
    p.kill(host.pid)
    host.wait(10)
    assert p.is_gone(worker, 30)
    assert read_run(run).phase == "interrupted"
    p.finish(project, job)
    assert_same(run, undisturbed)


def test_both_killed_at_once(tmp_path: Path, undisturbed: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT)
    host, run = p.start(project, job)
    p.wait_for(run, past(30))
    worker = p.worker_pid(run)
    p.kill(worker)
    p.kill(host.pid)
    host.wait(10)
    p.finish(project, job)
    assert_same(run, undisturbed)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
    ],
)
def test_a_signal_saves_and_leaves_with_its_code(
    tmp_path: Path, undisturbed: Path, number: signal.Signals, code: ExitCode
) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT)
    host, run = p.start(project, job)
    p.wait_for(run, past(10))
    host.send_signal(number)
    assert host.wait(30) == code
    stopped = [event for event in read_events(run) if isinstance(event, Stopped)][-1]
    assert stopped.exit_code == code and stopped.reason == number.name and stopped.step >= 10
    assert read_run(run).phase == "stopped"
    p.finish(project, job)
    assert_same(run, undisturbed)


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT, "train.epochs=400")
    host, run = p.start(project, job)
    p.wait_for(run, past(5))
    host.send_signal(signal.SIGINT)
    host.send_signal(signal.SIGINT)
    assert host.wait(15) == ExitCode.INTERRUPTED
    assert not p.processes_of(project.root)


def test_sigusr1_saves_and_goes_on_and_commands_work_from_outside(tmp_path: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT, "train.epochs=400", "train.save_every=1000")
    host, run = p.start(project, job)
    p.wait_for(run, past(5))
    host.send_signal(signal.SIGUSR1)
    p.wait_for(run, lambda event: isinstance(event, Checkpoint) and event.reason == "signal")
    sent = send(run, Command(command="pause"))
    answer = p.wait_for(run, lambda event: isinstance(event, Control) and event.id == sent.id)
    assert answer.accepted and read_run(run).phase == "paused"  # type: ignore[attr-defined]
    again = send(run, Command(command="pause"))
    refused = p.wait_for(run, lambda event: isinstance(event, Control) and event.id == again.id)
    assert not refused.accepted  # type: ignore[attr-defined]
    seq = p.last_seq(run)
    send(run, Command(command="resume"))
    p.wait_for(run, past(1), after=seq)
    sent = send(run, Command(command="stop"))
    # Not 0: the run is not finished, and the same command continues it.
    assert host.wait(30) == ExitCode.TERMINATED
    assert [event for event in read_events(run) if isinstance(event, Stopped)][-1].reason == sent.by


def test_a_second_host_is_refused(tmp_path: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT, "train.epochs=400")
    host, run = p.start(project, job)
    p.wait_for(run, past(1))
    other = subprocess.run(
        host.args,
        capture_output=True,
        env=p.detached_environment(),
        timeout=30,
        check=False,  # type: ignore[arg-type]
    )
    assert other.returncode == ExitCode.BUSY
    host.send_signal(signal.SIGKILL)
    host.wait(10)
    p.is_gone(p.worker_pid(run))


def test_bad_data_in_the_worker_ends_as_data_error(tmp_path: Path) -> None:
    project, job = p.make_project(tmp_path / "project", TEXT)
    run = p.prepare(project, job).run
    (project.data / "qa.txt").write_bytes(b"\x00\x01\x02" * 500)
    events = []
    assert Host(run, events.append).host() == ExitCode.DATA
    failed = next(event for event in events if isinstance(event, Failed))
    assert failed.exit_code == 3 and "qa.txt" in failed.text
    assert not [event for event in events if isinstance(event, Done)]
