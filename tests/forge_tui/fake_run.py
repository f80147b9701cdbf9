"""Runs written with the real journal and the real events, without any training."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from engine.events import (
    Advice,
    Checkpoint,
    Device,
    Done,
    Eval,
    Event,
    Failed,
    Plan,
    Sample,
    Severity,
    StagePlan,
    Step,
    Stopped,
)
from engine.files import FileLock
from engine.job import Job
from engine.job_file import to_table
from engine.project import Project
from engine.runs.journal import Journal
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import LOCK, RunState, advance, write_state


class FakeRun:
    """A run folder that a test fills with events; `hold` makes it alive."""

    def __init__(
        self,
        project: Project,
        *,
        model: str = "sacrifice",
        name: str = "20251122-120000-ab12",
        size: str = "micro",
        steps: int = 3700,
        epochs: int = 30,
        created: float | None = None,
    ) -> None:
        self.folder = project.runs(model) / name
        self.folder.mkdir(parents=True)
        (self.folder / "control").mkdir()
        self.steps, self.epochs = steps, epochs
        self.clock = (created or time.time()) - 0.5
        self.state = RunState(
            run=name, model=model, size=size, created=self.clock, updated=self.clock, epochs=epochs,
            data=("data/combined_action_training.txt",),
        )  # fmt: skip
        self.journal = Journal(self.folder)
        self._lock = FileLock(self.folder / LOCK)
        self._model_lock = FileLock(self.folder.parent / MODEL_LOCK)
        self._random = random.Random(7)
        self._best = math.inf
        self._save()

    def _save(self) -> None:
        write_state(self.folder, self.state)

    def hold(self) -> FakeRun:
        """Be alive, as if a host held the run."""
        assert self._lock.acquire() and self._model_lock.acquire()
        return self

    def release(self) -> FakeRun:
        """The host has gone."""
        self._lock.release()
        self._model_lock.release()
        return self

    def emit(self, *events: Event) -> FakeRun:
        """Write events."""
        for event in events:
            stamped = self.journal.append(msgspec.structs.replace(event, time=event.time or self.clock))
            self.state = advance(self.state, stamped)
        self._save()
        return self

    def set(self, **changes: object) -> FakeRun:
        """Change the state as the host would."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._save()
        return self

    def plan(self) -> FakeRun:
        """The plan."""
        return self.emit(
            Plan(
                job=to_table(Job()), why={"train.learning_rate": "Muon at this size; measured"}, model=self.state.model,
                size=self.state.size, parameters=4_200_000, vocabulary=4096, documents=388, validation_documents=20,
                tokens=41_930, text_bytes=140_000, steps=self.steps, epochs=self.epochs,
                stages=[StagePlan(name="main", epochs=self.epochs, steps=self.steps, tokens_per_epoch=41_930,
                                  documents=388, learning_rate=0.014)],
                device="cpu", precision="fp32", threads=4, memory_bytes=600_000_000, checkpoint_bytes=17_000_000,
                seconds=540.0,
            )
        )  # fmt: skip

    def loss(self, step: int) -> float:
        """A plausible loss."""
        return 1.1 + 3.2 * math.exp(-step / (self.steps / 6)) + self._random.gauss(0, 0.06)

    def train(self, upto: int, *, every: int = 5, seconds: float = 0.15) -> FakeRun:
        """Progress to a step, with evaluations, samples and checkpoints on the way."""
        an_epoch = max(1, self.steps // self.epochs)
        for step in range(self.state.step + every, upto + 1, every):
            self.clock += seconds * every
            left = (self.steps - step) * seconds
            self.emit_quickly(
                Step(
                    step=step, steps=self.steps, epoch=step / an_epoch, loss=self.loss(step),
                    learning_rate=0.014 * (1 - step / self.steps), grad_norm=0.31, tokens=step * 1650,
                    tokens_per_second=5210 + self._random.gauss(0, 60), eta_seconds=left,
                )
            )  # fmt: skip
            if step % an_epoch < every:
                self.evaluate(step)
        self._save()
        return self

    def emit_quickly(self, event: Event) -> None:
        """Write an event without the state file."""
        self.state = advance(self.state, self.journal.append(msgspec.structs.replace(event, time=self.clock)))

    def evaluate(self, step: int) -> None:
        """An evaluation, a checkpoint and a sample."""
        value = self.loss(step) * 0.62
        best = value < self._best
        self._best = min(self._best, value)
        an_epoch = max(1, self.steps // self.epochs)
        for event in (
            Device(memory=600_000_000, memory_total=3_800_000_000, utilisation=92.0, temperature=61.0,
                   disk_free=12_000_000_000),
            Eval(step=step, epoch=step / an_epoch, val_loss=value / 0.62, val_bpb=value, train_bpb=value - 0.1,
                 best=best),
            Checkpoint(path=f"checkpoints/step-{step:08d}", step=step, bytes=17_000_000, reason="schedule", best=best),
            Sample(step=step, prompt="What is Python?",
                   text="Python is a programming language that " + "is easy to read and " * (1 + step % 3)),
        ):  # fmt: skip
            self.emit_quickly(event)

    def advise(self, code: str = "plateau", severity: Severity = "warning") -> FakeRun:
        """Some advice."""
        return self.emit(
            Advice(
                code=code, severity=severity, text="Validation has not improved for 3 epochs.", fix="Stop at the best."
            )  # type: ignore[arg-type]
        )

    def done(self) -> FakeRun:
        """The good end."""
        return self.emit(
            Done(val_bpb=1.209, best_step=1400, seconds=540.0, tokens=6_100_000, path=f"models/{self.state.model}",
                 untrained_bpb=7.91)
        ).release()  # fmt: skip

    def fail(self, code: str, text: str, fix: str = "Run the same command again.", exit_code: int = 1) -> FakeRun:
        """A bad end."""
        return self.emit(Failed(code=code, text=text, fix=fix, exit_code=exit_code)).release()

    def stopped(self) -> FakeRun:
        """Stopped on purpose."""
        return self.emit(Stopped(step=self.state.step, reason="stop", exit_code=0)).release()

    @property
    def commands(self) -> list[str]:
        """What waits in the control folder, by name."""
        from engine.runs.control import take

        return [command.command for command in take(self.folder)]


def make_project(root: Path, job: str = "") -> Project:
    """A project with one data file."""
    project = Project(root.resolve())
    project.data.mkdir(parents=True, exist_ok=True)
    project.models.mkdir(exist_ok=True)
    (project.data / "combined_action_training.txt").write_text(
        "Q: What is Python?\nA: A programming language.\n\n" * 40
    )
    project.job_file.write_text(job or '[model]\nname = "sacrifice"\nsize = "nano"\n')
    return project
