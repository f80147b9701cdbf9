"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from engine.durations import parse_duration
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("30m", 1800.0), ("1h30m", 5400.0), ("1.5h", 5400.0), (" 2 H ", 7200.0), ("1h1m1s", 3661.0)],
)
def test_what_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "1x", "-5m", "0s", "30m1h", "999999h", "1e3s", "٣m" * 50, "\x1b[31m"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="no length of time"):
        parse_duration(text)
