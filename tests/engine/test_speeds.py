"""What earlier runs teach about this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.sizes import SIZES
from engine.speeds import remember_flops, remembered_flops, speeds_file

NANO, TINY = SIZES["nano"].dimensions, SIZES["tiny"].dimensions


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_nothing_is_known_at_first() -> None:
    assert remembered_flops("cpu", 2, NANO, "fp32") is None


def test_the_own_shape_counts_and_for_others_the_middle() -> None:
    remember_flops("cpu", 2, NANO, 3e10, "fp32")
    assert remembered_flops("cpu", 2, NANO, "fp32") == 3e10
    assert remembered_flops("cpu", 2, TINY, "fp32") == 3e10
    remember_flops("cpu", 2, TINY, 9e10, "fp32")
    assert remembered_flops("cpu", 2, TINY, "fp32") == 9e10 and remembered_flops("cpu", 2, NANO, "fp32") == 3e10


def test_other_threads_and_devices_are_other_machines() -> None:
    remember_flops("cpu", 2, NANO, 3e10, "fp32")
    assert remembered_flops("cpu", 4, NANO, "fp32") is None and remembered_flops("cuda", 2, NANO, "fp32") is None
    assert remembered_flops("cpu", 2, NANO, "bf16") is None
    remember_flops("cpu", 2, NANO, 9e10, "bf16")
    assert remembered_flops("cpu", 2, NANO, "fp32") == 3e10 and remembered_flops("cpu", 2, NANO, "bf16") == 9e10


def test_a_faster_run_says_more_than_a_slower_one() -> None:
    remember_flops("cpu", 2, NANO, 2e10, "fp32")
    remember_flops("cpu", 2, NANO, 4e10, "fp32")
    assert remembered_flops("cpu", 2, NANO, "fp32") == pytest.approx(3.6e10)
    remember_flops("cpu", 2, NANO, 0.6e10, "fp32")
    assert remembered_flops("cpu", 2, NANO, "fp32") == pytest.approx(2.7e10)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_what_is_no_speed_is_not_remembered(value: float) -> None:
    remember_flops("cpu", 2, NANO, value, "fp32")
    assert not speeds_file().exists()


@pytest.mark.parametrize("content", ["", "[]", "null", '{"x": 1', "[" * 5000, '{"a": {"nano": "fast"}}'])
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(content: str) -> None:
    speeds_file().parent.mkdir(parents=True)
    speeds_file().write_text(content)
    assert remembered_flops("cpu", 2, NANO, "fp32") is None
    remember_flops("cpu", 2, NANO, 3e10, "fp32")
    assert remembered_flops("cpu", 2, NANO, "fp32") == 3e10 and json.loads(speeds_file().read_text())


def test_a_folder_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    remember_flops("cpu", 2, NANO, 3e10, "fp32")
    assert remembered_flops("cpu", 2, NANO, "fp32") is None
