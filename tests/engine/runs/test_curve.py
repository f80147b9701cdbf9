"""Bounded curves: no spike is lost, no memory grows, and a return to an earlier step is honoured."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.curve import Curve

values = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


def filled(points: int, capacity: int = 64) -> Curve:
    """A falling curve."""
    curve = Curve(capacity)
    for step in range(1, points + 1):
        curve.add(step, 5 - step / points, step / 100)
    return curve


@given(st.lists(values, min_size=1, max_size=600))
def test_extremes_mean_and_ends_survive_any_length(series: list[float]) -> None:
    curve = Curve(16)
    for step, value in enumerate(series):
        curve.add(step, value)
    assert len(curve) <= 16
    assert min(bucket.low for bucket in curve.buckets) == min(series)
    assert max(bucket.high for bucket in curve.buckets) == max(series)
    assert sum(bucket.count for bucket in curve.buckets) == len(series)
    assert sum(bucket.total for bucket in curve.buckets) == pytest.approx(sum(series), abs=1e-3)
    assert (curve.buckets[0].first_at, curve.buckets[-1].last_at) == (0, len(series) - 1)
    outline = curve.outline(0, len(series), 1000)
    assert min(y for _, y in outline) == min(series) and max(y for _, y in outline) == max(series)


@given(st.lists(values, min_size=1, max_size=300), st.integers(2, 40))
def test_outline_is_bounded_and_in_order(series: list[float], most: int) -> None:
    curve = Curve(64)
    for step, value in enumerate(series):
        curve.add(step, value)
    outline = curve.outline(0, len(series), most)
    assert len(outline) <= max(2, most)
    assert [x for x, _ in outline] == sorted(x for x, _ in outline)
    assert len(curve.trend(0, len(series), most, 0.1)) <= most


def test_what_is_no_number_is_counted_and_left_out() -> None:
    curve = Curve()
    for step, value in enumerate([1.0, math.nan, math.inf, -math.inf, 2.0]):
        curve.add(step, value)
    assert curve.left_out == 3 and [y for _, y in curve.outline(0, 9, 100)] == [1.0, 2.0]


@given(st.integers(1, 500), st.integers(0, 500))
def test_rewinding_forgets_everything_later(points: int, back: int) -> None:
    curve = filled(points)
    curve.rewind(back)
    assert all(bucket.last_at <= back and bucket.low_at <= back and bucket.high_at <= back for bucket in curve.buckets)
    if curve.buckets and back <= points:
        assert curve.buckets[0].first_at == 1
    curve.add(back + 1, 9.0)
    assert curve.buckets[-1].last_at == back + 1 and curve.buckets[-1].last == 9.0


def test_a_step_that_comes_again_replaces_the_old_one() -> None:
    curve = Curve()
    for step in range(10):
        curve.add(step, 1.0)
    curve.add(5, 2.0)
    assert [y for _, y in curve.outline(0, 99, 100)] == [1.0] * 5 + [2.0]


def test_trend_of_a_constant_is_the_constant_from_the_first_point() -> None:
    curve = Curve()
    for step in range(100):
        curve.add(step, 3.0)
    assert all(y == pytest.approx(3.0) for _, y in curve.trend(0, 100, 50, 0.3))


def test_trend_is_smoother_than_the_values() -> None:
    curve = Curve()
    for step in range(200):
        curve.add(step, 1.0 if step % 2 else 0.0)
    tail = [y for _, y in curve.trend(0, 200, 200, 0.1)][100:]
    assert max(tail) - min(tail) < 0.1


def test_epochs_are_interpolated_also_when_stages_differ() -> None:
    curve = Curve()
    for step in range(1, 101):
        curve.add(step, 1.0, step / 10)
    for step in range(101, 201):
        curve.add(step, 1.0, 10 + (step - 100) / 100)
    assert curve.epochs([0, 50, 100, 150, 200]) == pytest.approx([0, 5, 10, 10.5, 11])


@given(st.integers(0, 300))
def test_dump_and_load_are_inverse(points: int) -> None:
    curve = filled(points)
    again = Curve.load(json.loads(json.dumps(curve.dump())))
    assert again.dump() == curve.dump() and again.span == curve.span


@pytest.mark.parametrize("data", [{}, {"capacity": 8, "span": 0, "left_out": 0, "buckets": []},
                                  {"capacity": 8, "span": 1, "left_out": 0, "buckets": [[1, 2]]}])  # fmt: skip
def test_what_is_no_curve_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a curve"):
        Curve.load(data)
