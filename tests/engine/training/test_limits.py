"""When memory or disk run out for real: the run adapts, or stops with nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.disk import Disk
from engine.errors import DiskFullError
from engine.events import Advice, Checkpoint, Done
from engine.training.checkpoint import found

from .conftest import EXACTLY, Recorder, TinyRun

Make = Callable[..., TinyRun]

SCRIPT = """
import resource, sys
from pathlib import Path
import psutil, torch
from engine.project import Project
from engine.runs.launch import read_request
from engine.training.prepare import prepare_run
from engine.training.trainer import Trainer
from tests.engine.training.conftest import Recorder
from engine.events import Advice, Done

recorder = Recorder()
run = Path(sys.argv[1])
prepared = prepare_run(run, Project(run.parents[3]), read_request(run), recorder)
torch.set_num_threads(1)
trainer = Trainer(prepared, recorder)
limit = psutil.Process().memory_info().vms + int(float(sys.argv[2]) * 1e6)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    trainer.train()
except Exception as error:
    print("FAILED", type(error).__name__, error)
for event in recorder.of(Advice):
    print("ADVICE", event.code, event.text)
print("MICRO", trainer.progress.micro_rows, "DONE", bool(recorder.of(Done)))
"""


def with_limit(run: Path, megabytes: float) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run), str(megabytes)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    return result.stdout + result.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_the_address_space_limit_halves_the_micro_batch_and_the_run_finishes(tiny_run: Make) -> None:
    # A limit of addresses keeps what the heap has had, and leaves none for the code that bfloat16 products compile.
    tiny = tiny_run("model.size=nano", "train.batch_size=64", "train.sequence_length=256", "train.epochs=2", EXACTLY)
    text = "".join(f"Q: Number {n}?\nA: {'This is a long answer about many things. ' * 40}{n}\n\n" for n in range(80))
    (tiny.project.data / "qa.txt").write_text(text)
    output = with_limit(tiny.prepare(), 330)
    assert "ADVICE out_of_memory" in output, output
    assert "DONE True" in output, output
    assert int(output.rpartition("MICRO ")[2].split()[0]) < 64


def test_a_disk_that_is_full_in_the_middle_is_said_and_training_goes_on(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_run("train.save_every=1")
    run = tiny.prepare()
    recorder = Recorder()
    free = Disk.free

    def full() -> list[Advice]:
        return [event for event in recorder.of(Advice) if event.code == "disk_full"]

    def full_for_a_while(self: Disk, folder: Path) -> int:
        in_the_middle = not recorder.of(Checkpoint) and not full()
        return 10_000 if in_the_middle else free(self, folder)

    monkeypatch.setattr(Disk, "free", full_for_a_while)
    code, _ = tiny.train(run, recorder)
    assert code == 0
    assert "goes on" in full()[0].text
    assert recorder.of(Done)


def test_a_full_disk_at_the_end_is_exit_6_and_loses_nothing(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_run("train.save_every=1")
    tiny.train(tiny.prepare())
    published = (tiny.project.models / "tiny/model.safetensors").read_bytes()
    again = tiny_run("train.save_every=1", "train.epochs=4")
    run = again.prepare()
    recorder = Recorder()
    free = Disk.free

    def full_at_the_end(self: Disk, folder: Path) -> int:
        return 10_000 if len(recorder.of(Checkpoint)) >= 2 else free(self, folder)

    monkeypatch.setattr(Disk, "free", full_at_the_end)
    with pytest.raises(DiskFullError) as failure:
        again.train(run, recorder)
    assert failure.value.exit_code == 6
    assert (tiny.project.models / "tiny/model.safetensors").read_bytes() == published
    assert found(run / "checkpoints") or found(run / "checkpoints", "best")
    monkeypatch.undo()
    code, _ = again.train(run)
    assert code == 0
