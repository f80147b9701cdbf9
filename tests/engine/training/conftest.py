"""A tiny real run inside the test process: real data, real tokenizer, real trainer, no second process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.events import Event, Step
from engine.job import Job
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.control import Command
from engine.runs.launch import prepare, read_request
from engine.training.checkpoint import found, same_tensors
from engine.training.prepare import Prepared, prepare_run
from engine.training.trainer import train_run

EXACTLY = 'train.mixed_precision="fp32"'
"""For tests in which the order of sums changes: in bfloat16 it shows in the third digit."""

QUESTIONS = [
    ("What is a loop?", "A loop repeats some steps until a condition ends it."),
    ("Who bakes bread?", "A baker bakes bread, most often early in the morning."),
    ("Why is the sea salty?", "Rivers carry minerals from rocks into the sea, and the salt stays there."),
    ("How many legs has a spider?", "A spider has eight legs, two more than an insect."),
    ("Tell me about ice.", "Ice is frozen water, and it floats because it is lighter than water."),
    ("Is the moon a planet?", "No, the moon goes around the earth, so it is a satellite."),
]


def corpus(copies: int = 8) -> str:
    """Different documents without repetition: each question is asked about another number."""
    lines = []
    for number in range(copies):
        for question, answer in QUESTIONS:
            lines.append(f"Q: {question} ({number})\nA: Number {number * 7 % 13}: {answer}\n")
    return "\n".join(lines)


@dataclass
class Recorder:
    """A reporter that keeps everything and gives commands when a test says so."""

    events: list[Event] = field(default_factory=list)
    orphaned: threading.Event = field(default_factory=threading.Event)
    at_step: dict[int, list[Command]] = field(default_factory=dict)
    waiting: list[Command] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        step = getattr(event, "step", None)
        if event.event == "step" and step in self.at_step:
            self.waiting += self.at_step.pop(step)

    def commands(self) -> list[Command]:
        taken, self.waiting = self.waiting, []
        return taken

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class TinyRun:
    """A project in a temporary folder, and what happens in it."""

    project: Project
    job: Job

    def prepare(self, *, force: bool = False) -> Path:
        return prepare(self.project, self.job, force=force).run

    def settle(self, run: Path) -> Prepared:
        """Everything that is decided before the first step of a run."""
        return prepare_run(run, self.project, read_request(run), Recorder())  # type: ignore[arg-type]

    def train(self, run: Path, reporter: Recorder | None = None, *, divisor: int = 1) -> tuple[int, Recorder]:
        recorder = reporter or Recorder()
        torch.set_num_threads(1)
        code = train_run(run, self.project, recorder, divisor=divisor)  # type: ignore[arg-type]
        return int(code), recorder


JOB = """
[model]
name = "tiny"
size = {layers = 2, dim = 64, heads = 1, kv_heads = 1, ffn = 64}
vocabulary = 320
[data]
files = ["data/qa.txt"]
validation = 0.1
[train]
epochs = 3
sequence_length = 48
batch_size = 2
gradient_accumulation = 2
learning_rate = 0.003
threads = 1
[eval]
prompts = ["What is a loop?"]
every = 2
max_tokens = 8
"""


@pytest.fixture
def tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TinyRun]:
    """Makes a `TinyRun`; arguments are overrides such as "train.epochs=2"."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("engine.training.trainer.REPORT_SECONDS", (0.0, 0.0))

    def make(*overrides: str, text: str | None = None, name: str = "project") -> TinyRun:
        root = tmp_path / name
        (root / "data").mkdir(parents=True, exist_ok=True)
        (root / "data" / "qa.txt").write_text(text or corpus())
        return TinyRun(Project(root), parse_job(JOB, overrides=overrides))

    return make


def ends_as_undisturbed(make: Callable[..., TinyRun], *overrides: str, text: str, stop_at: int) -> bool:
    """Whether a run stopped after step `stop_at` (from the end, if negative) and resumed ends with the same weights."""
    whole, cut = (make(*overrides, text=text, name=name) for name in ("whole", "cut"))
    run, expected = cut.prepare(), whole.prepare()
    _, told = whole.train(expected)
    stop_at %= told.of(Step)[-1].step  # type: ignore[attr-defined]
    stop = Recorder(at_step={stop_at: [Command(command="stop", by="ann", value=143.0)]})
    assert cut.train(run, stop)[0] == 143
    assert cut.train(run)[0] == 0
    weights = [load_file(found(folder / "checkpoints")[0] / "model.safetensors") for folder in (expected, run)]
    return same_tensors(*weights)


def forget_key(run: Path, key: str) -> None:
    """The job of a run as it was written when there was no such key."""
    lines = (run / "job.toml").read_text().splitlines(keepends=True)
    (run / "job.toml").write_text("".join(line for line in lines if key not in line))
