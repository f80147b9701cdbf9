"""Which steps are refused, and when it is time to go back."""

from __future__ import annotations

import math

import pytest

from engine.training.guard import PATIENCE, WARMUP_STEPS, Guard


def settled() -> Guard:
    guard = Guard(ceiling=12.0)
    for step in range(WARMUP_STEPS + 10):
        assert guard.judge(3.0 + 0.01 * (step % 3), 1.0 + 0.05 * (step % 5)) == ("step", "")
    return guard


@pytest.mark.parametrize(
    ("loss", "norm", "words"),
    [
        (math.nan, 1.0, "not a finite number"),
        (math.inf, 1.0, "not a finite number"),
        (3.0, math.nan, "gradient is not finite"),
        (3.0, math.inf, "gradient is not finite"),
        (7.0, 1.0, "loss jumped"),
        (3.0, 500.0, "gradient norm jumped"),
        (13.0, 1.0, "worse than guessing"),
    ],
)
def test_bad_steps_are_skipped_with_the_reason(loss: float, norm: float, words: str) -> None:
    verdict, reason = settled().judge(loss, norm)
    assert verdict == "skip"
    assert words in reason


@pytest.mark.parametrize(("loss", "norm"), [(3.5, 1.5), (1.0, 0.1), (4.0, 3.0)])
def test_ordinary_variation_is_stepped(loss: float, norm: float) -> None:
    assert settled().judge(loss, norm)[0] == "step"


def test_the_beginning_is_not_judged_by_its_spikes_but_by_the_ceiling() -> None:
    guard = Guard(ceiling=9.0)
    assert guard.judge(8.0, 400.0)[0] == "step"
    assert guard.judge(9.5, 1.0)[0] == "skip"


def test_bad_steps_in_a_row_roll_back_and_a_good_one_forgives() -> None:
    guard = settled()
    for _ in range(PATIENCE - 1):
        assert guard.judge(math.nan, 1.0)[0] == "skip"
    assert guard.judge(3.0, 1.0)[0] == "step"
    for _ in range(PATIENCE - 1):
        assert guard.judge(math.nan, 1.0)[0] == "skip"
    assert guard.judge(math.nan, 1.0)[0] == "roll back"
