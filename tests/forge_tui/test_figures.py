"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forge_tui import figures


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (9999, "9,999"), (41_930, "41.9k"), (99_999, "100k"), (999_960, "1.00M"),
     (4_200_000, "4.20M"), (27_300_000, "27.3M"), (206_000_000, "206M"), (1_120_000_000, "1.12B"), (math.nan, "-")],
)  # fmt: skip
def test_count(number: float, text: str) -> None:
    assert figures.count(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (17_000_000, "17 MB"), (1_400_000_000, "1.4 GB"),
     (210_000_000_000, "210 GB"), (3.2e12, "3.2 TB")],
)  # fmt: skip
def test_size(size: float, text: str) -> None:
    assert figures.size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (math.inf, "-"), (0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 05"),
     (200_000, "2 d 8 h"), (-1, "-")],
)  # fmt: skip
def test_duration(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.014, "1.4e-2"), (1.0, "1.0e0"), (0, "0"), (math.nan, "-")])
def test_rate(value: float, text: str) -> None:
    assert figures.rate(value) == text


@example(1801440.0, 1e-9, 10)
@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(1, 20))
def test_ticks_are_inside_even_and_not_too_many(low: float, span: float, most: int) -> None:
    ticks = figures.nice_ticks(low, low + span, most)
    assert 1 <= len(ticks) <= most + 1
    slack = 1e-6 * (abs(low) + span)
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0, 0.5, "0"), (2.5, 0.5, "2.5"), (10, 5, "10"), (0.02, 0.01, "0.02"), (25_000, 5_000, "25.0k")],
)
def test_tick_labels_have_the_decimals_they_need(value: float, step: float, text: str) -> None:
    assert figures.tick_label(value, step) == text


def test_one_thing_is_no_plural() -> None:
    assert [figures.counted(number, "epoch") for number in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
