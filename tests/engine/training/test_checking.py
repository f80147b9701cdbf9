"""The check before every job: errors stop it, warnings are shown, --force goes past errors that lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.errors import DataError
from engine.events import Advice
from engine.text.report import Report
from engine.training import checking
from engine.training.checking import check_data

from .conftest import Recorder, TinyRun, corpus

Make = Callable[..., TinyRun]


def test_warnings_are_shown_with_file_and_line_and_the_run_goes_on(tiny_run: Make) -> None:
    tiny = tiny_run(text=corpus() + "\nQ: Write to me?\nA: Yes please, write to jane.doe@fastpost.net any time.\n")
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0
    found = [event for event in recorder.of(Advice) if "data/qa.txt:" in event.text]
    assert found and all(event.severity == "warning" and event.fix for event in found)
    assert not any("jane.doe@fastpost.net" in event.text for event in recorder.of(Advice))


def test_errors_stop_the_job_with_their_line(tiny_run: Make) -> None:
    broken = corpus() + '\nQ: Weather?\nA: I look.\n<tool_call>{"tool": "weather", "params": </tool_call>\n'
    tiny = tiny_run(text=broken)
    recorder = Recorder()
    with pytest.raises(DataError) as failure:
        check_data(tiny.project, tiny.job, recorder, force=False)  # type: ignore[arg-type]
    assert failure.value.line
    assert failure.value.exit_code == 3


def test_force_goes_past_errors_that_lose_nothing_only(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_run()
    monkeypatch.setattr(Report, "usable", property(lambda self: False))
    for harmless in (True, False):
        monkeypatch.setattr(Report, "loses_nothing", property(lambda self, harmless=harmless: harmless))
        if harmless:
            check_data(tiny.project, tiny.job, Recorder(), force=True)  # type: ignore[arg-type]
        with pytest.raises(DataError):
            check_data(tiny.project, tiny.job, Recorder(), force=not harmless)  # type: ignore[arg-type]


def test_very_large_data_are_left_to_the_command_and_it_is_said(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LARGEST_BYTES", 100)
    tiny, recorder = tiny_run(), Recorder()
    check_data(tiny.project, tiny.job, recorder, force=False)  # type: ignore[arg-type]
    assert [event.code for event in recorder.of(Advice)] == ["not_checked"]
