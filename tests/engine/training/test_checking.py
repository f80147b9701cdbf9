"""The check before every job: errors stop it, warnings are shown, --force goes past errors that lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.errors import DataError
from engine.events import Advice, Log, Plan
from engine.text import lint
from engine.training import checking, waiting
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


def test_force_goes_past_errors_that_lose_nothing_only(tiny_run: Make) -> None:
    harmless = corpus() + '\nQ: Weather?\nA: I look.\n<tool_call>{"tool": "weather", "params": </tool_call>\n'
    tiny, recorder = tiny_run(text=harmless), Recorder()
    with pytest.raises(DataError, match="--force"):
        check_data(tiny.project, tiny.job, recorder, force=False)  # type: ignore[arg-type]
    check_data(tiny.project, tiny.job, recorder, force=True)  # type: ignore[arg-type]
    assert [event.severity for event in recorder.of(Advice)].count("error") == 2
    losing = tiny_run(name="other")
    (losing.project.root / "data" / "qa.txt").write_bytes(
        corpus().encode() + "\nQ: What?\nA: A café, of course.".encode("latin-1")
    )
    for force in (False, True):
        with pytest.raises(DataError) as failure:
            check_data(losing.project, losing.job, Recorder(), force=force)  # type: ignore[arg-type]
        assert "--force" not in str(failure.value)


def test_large_data_are_checked_too_and_it_is_said_how_far(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "EVERY_SECONDS", 0.0)
    tiny, recorder = tiny_run(text=corpus(20_000)), Recorder()
    check_data(tiny.project, tiny.job, recorder, force=False)  # type: ignore[arg-type]
    said = [event.text for event in recorder.of(Log)]
    assert len(said) > 2 and all(" left." in text for text in said if text.startswith("Checking the data: "))


def test_large_data_that_can_be_used_are_checked_once(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "REMEMBERED_FROM", 1000)
    first, again, forced, changed, damaged = (Recorder() for _ in range(5))
    tiny = tiny_run(text=corpus() + "\nQ: Write to me?\nA: Yes please, write to jane.doe@fastpost.net any time.\n")
    check_data(tiny.project, tiny.job, first, force=False)  # type: ignore[arg-type]
    (kept,) = (tiny.project.cache / "verdicts").iterdir()
    calls: list[object] = []
    monkeypatch.setattr(lint, "lint", lambda *args, real=lint.lint, **more: calls.append(args) or real(*args, **more))
    check_data(tiny.project, tiny.job, again, force=False)  # type: ignore[arg-type]
    assert not calls and [e.text for e in again.of(Advice)] == [e.text for e in first.of(Advice)] != []
    path = tiny.project.root / "data" / "qa.txt"
    path.write_text(path.read_text() + '\nQ: Weather?\nA: So.\n<tool_call>{"tool": "weather", "params": </tool_call>\n')
    for _ in range(2):  # what was refused, or went on by force, is looked at again
        check_data(tiny.project, tiny.job, forced, force=True)  # type: ignore[arg-type]
    assert len(calls) == 2
    path.write_text(corpus(9))
    check_data(tiny.project, tiny.job, changed, force=False)  # type: ignore[arg-type]
    assert len(calls) == 3
    for file in kept.parent.iterdir():
        file.write_bytes(b"{half a l")
    check_data(tiny.project, tiny.job, damaged, force=False)  # type: ignore[arg-type]
    assert len(calls) == 4


def test_columns_of_ones_own_are_checked_and_trained_on(tiny_run: Make) -> None:
    rows = [line.partition("\nA: ") for line in corpus().removeprefix("Q: ").split("\n\nQ: ")]
    table = "".join(f'"{ask}","{answer.strip()}"\n' for ask, _, answer in rows)
    file = '{ path = "data/qa.csv", columns = { prompt = "frage", completion = "antwort" } }'
    tiny = tiny_run(f"data.files=[{file}]")
    (tiny.project.root / "data" / "qa.csv").write_text(f"frage,antwort\n{table}")
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0
    (plan,) = recorder.of(Plan)
    assert plan.documents + plan.validation_documents >= len(rows) - 1  # type: ignore[attr-defined]
