"""`bpe_dropout`: which epochs read split tokens, that steps stay as planned, and that a resume keeps to it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest
from safetensors.torch import load_file

from engine.events import Step
from engine.runs.control import Command
from engine.training.checkpoint import found, same_tensors

from .conftest import Recorder, TinyRun, corpus

Make = Callable[..., TinyRun]
SETTINGS = ("train.bpe_dropout=0.2", "train.epochs=4", "train.batch_size=2")


def test_the_last_epochs_read_the_tokens_as_they_are(tiny_run: Make) -> None:
    tiny = tiny_run(*SETTINGS, text=corpus(30))
    (stage,) = tiny.settle(tiny.prepare()).course.stages
    tokens = [stage.order(epoch).tokens for epoch in range(4)]
    assert stage.split_epochs == 3
    assert min(tokens[:3]) > tokens[3] == stage.corpus.train_tokens
    assert len(set(tokens[:3])) > 1


def test_steps_are_no_larger_than_asked_for(tiny_run: Make) -> None:
    tiny = tiny_run(*SETTINGS, text=corpus(30))
    course = tiny.settle(tiny.prepare()).course
    most = course.stages[0].rows_per_step
    assert all(sum(len(batch.ids) for batch in course.batches(step, 2)) <= most for step in range(course.steps))
    plain = tiny_run("train.bpe_dropout=0", "train.epochs=4", "train.batch_size=2", text=corpus(30), name="plain")
    assert course.steps > plain.settle(plain.prepare()).course.steps, "more tokens, so more steps"


@pytest.mark.parametrize("stop_at", [3, -2])
def test_a_resume_is_bit_for_bit_in_both_parts(tiny_run: Make, stop_at: int) -> None:
    whole, cut = (tiny_run(*SETTINGS, text=corpus(30), name=name) for name in ("whole", "cut"))
    run, expected = cut.prepare(), whole.prepare()
    _, told = whole.train(expected)
    stop_at %= told.of(Step)[-1].step  # type: ignore[attr-defined]
    code, _ = cut.train(run, Recorder(at_step={stop_at: [Command(command="stop", by="ann", value=143.0)]}))
    assert code == 143
    assert cut.train(run)[0] == 0
    weights = [load_file(found(folder / "checkpoints")[0] / "model.safetensors") for folder in (expected, run)]
    assert same_tensors(*weights)


def test_a_run_from_before_there_was_such_a_key_goes_on_without(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=6", "train.batch_size=2", text=corpus(30))
    run = tiny.prepare()
    tiny.train(run, Recorder(at_step={2: [Command(command="stop", by="ann", value=143.0)]}))
    file = run / "job.toml"
    assert tomllib.loads(file.read_text())["train"]["bpe_dropout"] > 0
    kept = [line for line in file.read_text().splitlines(keepends=True) if "bpe_dropout" not in line]
    file.write_text("".join(kept))
    assert tiny.settle(run).course.stages[0].split_epochs == 0
