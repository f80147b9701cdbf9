"""state.json: what each event changes, and what an unfinished state means once nobody is there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.events import Checkpoint, Done, Eval, Event, Failed, Log, Plan, Resumed, Step, Stopped
from engine.files import FileLock
from engine.project import Project
from engine.runs.state import FILE, LOCK, Phase, RunState, advance, read_run, runs_of, write_state

FRESH = RunState(run="r", model="m", created=1.0)
PLAN = Plan(
    job={}, why={}, model="m", size="nano", parameters=5, vocabulary=300, documents=1, validation_documents=1, tokens=9,
    text_bytes=9, steps=100, epochs=3, stages=[], device="cpu",
    precision="fp32", threads=1, memory_bytes=1, checkpoint_bytes=1, seconds=60.0,
)  # fmt: skip
STEP = Step(
    step=7, steps=100, epoch=0.2, loss=2.5, learning_rate=0.1, grad_norm=1.0, tokens=70, tokens_per_second=9.0,
    eta_seconds=12.0,
)  # fmt: skip


def after(*events: Event, state: RunState = FRESH) -> RunState:
    for event in events:
        state = advance(state, event)
    return state


def test_the_life_of_a_run() -> None:
    state = after(PLAN)
    assert (state.phase, state.steps, state.epochs, state.size, state.eta_seconds) == ("training", 100, 3, "nano", 60.0)
    state = after(STEP, state=state)
    assert (state.step, state.tokens, state.loss, state.eta_seconds) == (7, 70, 2.5, 12.0)
    state = after(Eval(step=7, epoch=0.2, val_loss=2.0, val_bpb=1.5, train_bpb=1.4, best=True), state=state)
    state = after(Eval(step=9, epoch=0.3, val_loss=2.1, val_bpb=1.6, train_bpb=1.3), state=state)
    assert (state.val_bpb, state.best_val_bpb, state.best_step) == (1.6, 1.5, 7)
    state = after(Checkpoint(path="checkpoints/step-7", step=7, bytes=9, reason="schedule"), state=state)
    assert (state.checkpoint, state.checkpoint_step) == ("checkpoints/step-7", 7)
    ended = after(Stopped(step=9, reason="SIGTERM", exit_code=143, time=50.0), state=state)
    assert (ended.phase, ended.exit_code, ended.ended, ended.eta_seconds) == ("stopped", 143, 50.0, None)
    failed = after(Failed(code="diverged", text="It diverged.", fix="Lower it.", exit_code=4), state=state)
    assert (failed.phase, failed.code, failed.text, failed.fix) == ("failed", "diverged", "It diverged.", "Lower it.")
    again = after(Resumed(from_step=7, checkpoint="checkpoints/step-7"), state=failed)
    assert (again.phase, again.step) == ("training", 7)
    done = after(Done(val_bpb=1.2, best_step=90, seconds=9.0, tokens=700, path="models/m"), state=again)
    assert (done.phase, done.exit_code, done.best_val_bpb, done.best_step, done.text) == ("finished", 0, 1.2, 90, "")
    assert done.is_final and not failed.is_final and not ended.is_final


def test_narration_changes_nothing_but_the_time() -> None:
    state = after(Log(text="x", time=9.0))
    assert state.updated == 9.0 and state == advance(FRESH, Log(text="y", time=9.0))


def folder(tmp_path: Path, phase: Phase, name: str = "r", created: float = 1.0) -> Path:
    run = tmp_path / "models" / "m" / "runs" / name
    run.mkdir(parents=True)
    write_state(run, RunState(run=name, model="m", phase=phase, created=created))
    return run


@pytest.mark.parametrize("phase", ["preparing", "training", "paused", "stopping"])
def test_unfinished_and_nobody_there_is_interrupted(tmp_path: Path, phase: Phase) -> None:
    run = folder(tmp_path, phase)
    found = read_run(run)
    assert found.phase == "interrupted" and found.can_continue and not found.alive
    with FileLock(run / LOCK) as lock:
        lock.acquire()
        found = read_run(run)
        assert found.phase == phase and found.alive and not found.can_continue


@pytest.mark.parametrize(("phase", "goes_on"), [("stopped", True), ("failed", True), ("finished", False)])
def test_ended_runs(tmp_path: Path, phase: Phase, goes_on: bool) -> None:
    found = read_run(folder(tmp_path, phase))
    assert found.phase == phase and found.can_continue == goes_on


def test_writing_and_reading(tmp_path: Path) -> None:
    run = folder(tmp_path, "training")
    state = after(PLAN, STEP, Eval(step=1, epoch=1.0, val_loss=math.nan, val_bpb=math.nan, train_bpb=1.0))
    write_state(run, state, durable=True)
    again = read_run(run).state
    assert again.step == 7 and again.val_bpb is None, "what is no number is not there"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"run": 3}', b"\xff", b'{"run": "r", "model": "m", "phase": "odd"}']
)
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    run = folder(tmp_path, "training")
    (run / FILE).write_bytes(content)
    with pytest.raises(ModelError, match="The run's state cannot be read"):
        read_run(run)
    assert runs_of(Project(tmp_path)) == [], "and the list goes on without it"
    with pytest.raises(ModelError, match="not the folder of a run"):
        read_run(tmp_path)


def test_fields_of_a_newer_version_are_ignored(tmp_path: Path) -> None:
    run = folder(tmp_path, "training")
    fields = json.loads((run / FILE).read_bytes())
    (run / FILE).write_text(json.dumps(fields | {"colour": "red"}))
    assert read_run(run).state.run == "r"


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for name, created in (("a", 2.0), ("b", 3.0), ("c", 1.0)):
        folder(tmp_path, "finished", name, created)
    (tmp_path / "models" / ".trash" / "runs" / "d").mkdir(parents=True)
    write_state(tmp_path / "models" / ".trash" / "runs" / "d", RunState(run="d", model="x"))
    project = Project(tmp_path)
    assert [run.id for run in runs_of(project)] == ["b", "a", "c"]
    assert [run.id for run in runs_of(project, "m")] == ["b", "a", "c"]
    assert runs_of(project, "none") == [] and runs_of(Project(tmp_path / "none")) == []
