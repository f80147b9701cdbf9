"""torch.compile: when it is used, that it changes nothing but speed, and that its failure is none of the run's."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from engine.events import Log, Plan, Step
from engine.job_file import load_job
from engine.runs.control import Command
from engine.training import compiling
from engine.training.checkpoint import found, same_tensors
from engine.training.compiling import decide

from .conftest import Recorder, TinyRun

Make = Callable[..., TinyRun]
needs_compiler = pytest.mark.skipif(bool(compiling._missing("cpu")), reason="there is no C++ compiler")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_missing", lambda device: "")


@pytest.mark.usefixtures("compiler")
def test_it_is_used_where_the_time_it_takes_comes_back() -> None:
    assert decide("auto", "cuda", 3600)[0]
    for device, seconds, word in (
        ("cpu", 1e6, "nothing is gained"), ("cuda", 60.0, "too short"), ("cuda", None, "too short"),
        ("mps", 1e6, "not proven"),
    ):  # fmt: skip
        wanted, why = decide("auto", device, seconds)
        assert not wanted and word in why
    assert decide(True, "cpu", 1.0) == (True, "as asked")
    assert decide(False, "cuda", 3600) == (False, "as asked")


def test_without_a_compiler_it_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert decide(True, "cpu", 3600) == (False, "a C++ compiler is needed for it")
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert not decide(True, "cpu", 3600)[0]


def test_a_compiler_that_fails_does_not_end_the_run(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch, compiler: None
) -> None:
    import torch
    from torch._dynamo.exc import InternalTorchDynamoError

    def broken(*arguments: object) -> None:
        raise InternalTorchDynamoError("the compiler is broken")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    code, recorder = tiny_run("train.compile=true").train(tiny_run("train.compile=true").prepare())
    assert code == 0
    warnings = [log.text for log in recorder.of(Log) if log.level == "warning"]  # type: ignore[attr-defined]
    assert len([text for text in warnings if text.startswith("Compiling failed")]) == 1


@needs_compiler
@pytest.mark.slow
def test_compiled_steps_are_the_same_steps_and_a_resume_is_bit_for_bit(tiny_run: Make) -> None:
    finals, losses = [], []
    for name, compiled, stops in (("plain", False, ()), ("whole", True, ()), ("cut", True, (4,))):
        tiny = tiny_run(f"train.compile={str(compiled).lower()}", "train.epochs=1", name=name)
        run = tiny.prepare()
        for step in stops:
            stop = Recorder(at_step={step: [Command(command="stop", by="me", value=143.0)]})
            assert tiny.train(run, stop)[0] == 143
            assert load_job(run / "job.toml").train.compile is True
        code, recorder = tiny.train(run)
        (planned,) = recorder.of(Plan)
        assert code == 0 and isinstance(planned, Plan)
        assert planned.job["train"]["compile"] is compiled and planned.why["train.compile"]
        said = [log for log in recorder.of(Log) if log.text.startswith("Compiled the training step")]  # type: ignore[attr-defined]
        assert len(said) == compiled
        finals.append(load_file(found(run / "checkpoints")[0] / "model.safetensors"))
        losses.append(recorder.of(Step)[-1].loss)  # type: ignore[attr-defined]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and math.isfinite(losses[0])
    assert same_tensors(finals[1], finals[2])


@needs_compiler
@pytest.mark.slow
def test_rows_in_pieces_are_compiled_too_and_are_the_same_steps(tiny_run: Make) -> None:
    losses = []
    for compiled in ("false", "true"):
        tiny = tiny_run(
            f"train.compile={compiled}", "train.epochs=1", "train.sequence_length=128", "train.length_warmup=0.5",
            name=compiled,
        )  # fmt: skip
        code, recorder = tiny.train(tiny.prepare())
        assert code == 0 and not [log for log in recorder.of(Log) if log.level == "warning"]  # type: ignore[attr-defined]
        assert [log for log in recorder.of(Log) if "read whole" in log.text]  # type: ignore[attr-defined]
        losses.append([step.loss for step in recorder.of(Step)])  # type: ignore[attr-defined]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
