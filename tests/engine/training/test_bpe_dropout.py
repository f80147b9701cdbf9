"""`bpe_dropout`: which epochs read split tokens, that steps stay as planned, and that a resume keeps to it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest

from engine.runs.control import Command

from .conftest import Recorder, TinyRun, corpus, ends_as_undisturbed, forget_key

Make = Callable[..., TinyRun]
SETTINGS = ("train.bpe_dropout=0.2", "train.epochs=4", "train.batch_size=2")


def test_the_last_epochs_read_the_tokens_as_they_are(tiny_run: Make) -> None:
    tiny = tiny_run(*SETTINGS, text=corpus(30))
    (stage,) = tiny.settle(tiny.prepare()).course.stages
    tokens = [stage.order(epoch).tokens for epoch in range(4)]
    assert stage.split_epochs == 3
    assert min(tokens[:3]) > tokens[3] == stage.corpus.train_tokens
    assert len(set(tokens[:3])) > 1
    assert stage.tokens == pytest.approx(sum(tokens), rel=0.03), "the expected time knows that split text is longer"
    assert stage.tokens > 1.04 * 4 * stage.corpus.train_tokens


def test_steps_are_no_larger_than_asked_for(tiny_run: Make) -> None:
    tiny = tiny_run(*SETTINGS, text=corpus(30))
    course = tiny.settle(tiny.prepare()).course
    most = course.stages[0].rows_per_step
    assert all(sum(len(batch.ids) for batch in course.batches(step, 2)) <= most for step in range(course.steps))
    plain = tiny_run("train.bpe_dropout=0", "train.epochs=4", "train.batch_size=2", text=corpus(30), name="plain")
    assert course.steps > plain.settle(plain.prepare()).course.steps, "more tokens, so more steps"


@pytest.mark.parametrize("stop_at", [3, -2])
def test_a_resume_is_bit_for_bit_in_both_parts(tiny_run: Make, stop_at: int) -> None:
    assert ends_as_undisturbed(tiny_run, *SETTINGS, text=corpus(30), stop_at=stop_at)


def test_a_run_from_before_there_was_such_a_key_goes_on_without(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=6", "train.batch_size=2", text=corpus(30))
    run = tiny.prepare()
    tiny.train(run, Recorder(at_step={2: [Command(command="stop", by="ann", value=143.0)]}))
    assert tomllib.loads((run / "job.toml").read_text())["train"]["bpe_dropout"] > 0
    forget_key(run, "bpe_dropout")
    assert tiny.settle(run).course.stages[0].split_epochs == 0
