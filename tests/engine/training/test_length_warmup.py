"""Sequence length warm-up: which lengths there are when, that no token is lost by it, and that a resume keeps to it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Log, Step
from engine.runs.control import Command
from engine.training import rehearsal
from engine.training.course import Course
from engine.training.length_warmup import SHORTEST, LengthWarmup
from engine.training.recipe import Recipe
from engine.training.rehearsal import _between

from .conftest import Recorder, TinyRun, corpus, ends_as_undisturbed, forget_key

Make = Callable[..., TinyRun]
PROSE = "\n".join(f"In the year {year} the miller of the village had {year % 17} sacks." for year in range(900))
SETTINGS = ("train.sequence_length=256", "train.length_warmup=0.6", "train.epochs=4", "train.batch_size=1")


def lengths(recorder: Recorder) -> list[str]:
    return [log.text for log in recorder.of(Log) if "From here on rows" in log.text]  # type: ignore[attr-defined]


def test_each_length_has_an_equal_part_of_the_share() -> None:
    warmup = LengthWarmup(512, 100, 0.75)
    assert warmup.lengths == (64, 128, 256, 512)
    assert [warmup.length(step) for step in (0, 24, 25, 49, 50, 74, 75, 99)] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert LengthWarmup(512, 100, 0.0).lengths == (512,)
    assert LengthWarmup(96, 100, 0.75).lengths == (96,), "halves would be shorter than the shortest"
    assert LengthWarmup(300, 100, 0.75).lengths == (75, 150, 300)
    assert LengthWarmup(257, 100, 0.75).lengths == (257,), "it cannot be halved"


@given(st.integers(8, 4096), st.integers(1, 500), st.floats(0, 1, allow_nan=False), st.integers(0, 499))
def test_lengths_grow_divide_the_row_and_have_the_mean_that_is_said(
    sequence_length: int, steps: int, share: float, first: int
) -> None:
    warmup = LengthWarmup(sequence_length, steps, share)
    all_of_them = [warmup.length(step) for step in range(steps)]
    assert all_of_them == sorted(all_of_them)
    assert all(sequence_length % length == 0 and length >= min(SHORTEST, sequence_length) for length in all_of_them)
    assert sum(length == sequence_length for length in all_of_them) >= int((1 - share) * steps)
    left = all_of_them[first:]
    assert warmup.mean_length(first) == pytest.approx(sum(left) / len(left) if left else sequence_length)


def test_pieces_have_every_token_of_the_rows(tiny_run: Make) -> None:
    tiny = tiny_run(*SETTINGS, text=corpus(30))
    course = tiny.settle(tiny.prepare()).course
    assert [course.length(step) for step in (0, course.steps - 1)] == [64, 256]
    (pieces,), (rows,) = course.batches(0, 9), course.batches(0, 9, 256)
    assert pieces.ids.shape == (4 * len(rows.ids), 64) and pieces.bytes == rows.bytes
    for name in ("ids", "targets", "weights", "text"):
        assert np.array_equal(getattr(pieces, name).reshape(-1, 256), getattr(rows, name))
    assert course.mean_length() == pytest.approx(np.mean([course.length(step) for step in range(course.steps)]))
    left = [course.length(step) for step in range(7, course.steps)]
    assert course.mean_length(7) == pytest.approx(np.mean(left))


def test_rows_are_longer_in_the_end_and_it_is_said(tiny_run: Make) -> None:
    short, whole = (
        tiny_run(*SETTINGS, f"train.length_warmup={share}", text=corpus(30), name=str(share)) for share in (0.6, 0.0)
    )
    _, told = short.train(short.prepare())
    assert lengths(told) == [f"From here on rows are read {how}." for how in ("in pieces of 128 tokens", "whole")]
    _, silent = whole.train(whole.prepare())
    assert not lengths(silent)
    losses = [[event.loss for event in recorder.of(Step)] for recorder in (told, silent)]  # type: ignore[attr-defined]
    assert len(losses[0]) == len(losses[1]) and losses[0][1] != losses[1][1]


@pytest.mark.parametrize("stop_at", [3, 11])
def test_a_resume_within_it_is_bit_for_bit(tiny_run: Make, stop_at: int) -> None:
    assert ends_as_undisturbed(tiny_run, *SETTINGS, text=corpus(30), stop_at=stop_at)


def test_a_run_from_before_there_was_such_a_key_goes_on_with_whole_rows(tiny_run: Make) -> None:
    tiny = tiny_run("train.sequence_length=256", "train.epochs=1", "train.batch_size=1", text=PROSE)
    run = tiny.prepare()
    tiny.train(run, Recorder(at_step={2: [Command(command="stop", by="ann", value=143.0)]}))
    stored = tomllib.loads((run / "job.toml").read_text())["train"]["length_warmup"]
    assert stored > 0
    forget_key(run, "length_warmup")
    again = tiny.settle(run)
    assert again.recipe.length_warmup == 0 and again.course.length(0) == 256


def test_the_time_of_a_step_lies_between_those_of_its_lengths() -> None:
    assert _between({64: 1.0, 512: 2.0}, 64) == 1.0
    assert _between({512: 2.0, 64: 1.0}, 288) == 1.5
    assert _between({512: 2.0}, 288) == 2.0


def test_a_run_for_a_time_has_the_lengths_that_were_measured(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[float] = []

    def seconds_per_step(left: float, course: Course, recipe: Recipe, *_: object) -> float:
        measured.append(recipe.length_warmup)
        return 0.5 if recipe.length_warmup else 1.0

    monkeypatch.setattr(rehearsal, "seconds_per_step", seconds_per_step)
    monkeypatch.setattr("engine.training.prepare.questions", lambda *_: {})
    for time, epochs in (("30s", 400), ("5h", 400)):
        tiny = tiny_run(
            "train.sequence_length=256", "train.batch_size=1", f"train.epochs={epochs}", f"train.max_time={time}",
            text=PROSE, name=time,
        )  # fmt: skip
        found_out = tiny.settle(tiny.prepare())
        assert found_out.recipe.length_warmup == measured[-1] == found_out.course.stages[0].length_warmup
        assert found_out.recipe.length_warmup == (0.7 if time == "30s" else 0.0), "new text only"
