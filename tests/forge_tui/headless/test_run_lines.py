"""Plain lines: what is shown, how often, and that hostile text stays harmless."""

from __future__ import annotations

import io
import re

import pytest

from engine.events import Advice, Device, Done, Event, Failed, Log, Plan, Sample, StagePlan, Step, decode
from forge_tui.printing import put_facts, put_table
from forge_tui.run_lines import JsonLines, RunLines, lines_for, plan_lines, step_line

HOSTILE = "\x1b[2J\x1b]0;owned\x07\rA\u202eB\x9b31m\nsecond\x00"


def step(number: int, time: float, steps: int = 1000) -> Step:
    return Step(
        step=number, steps=steps, epoch=number / 100, loss=2.0, learning_rate=1e-3, grad_norm=1.0, tokens=1,
        tokens_per_second=1234.5, eta_seconds=90.0, time=time,
    )  # fmt: skip


def plan(**changes: object) -> Plan:
    fields: dict[str, object] = {
        "job": {}, "why": {}, "model": "m", "size": "nano", "parameters": 1_310_000, "vocabulary": 4096,
        "documents": 300, "validation_documents": 15, "tokens": 40_000, "text_bytes": 158_000, "steps": 1250,
        "epochs": 50, "stages": [], "device": "cpu", "precision": "fp32", "threads": 2, "memory_bytes": 6e8,
        "checkpoint_bytes": 16e6, "seconds": 120.0,
    }  # fmt: skip
    return Plan(**{**fields, **changes})  # type: ignore[arg-type]


def printed(*events: Event, live: bool = False) -> str:
    stream = io.StringIO()
    lines = RunLines(stream, live=live)
    for event in events:
        lines(event)
    lines.close()
    return stream.getvalue()


def test_in_a_file_progress_comes_every_ten_seconds_and_at_the_end() -> None:
    text = printed(*(step(number, 100.0 + number * 0.5) for number in range(1, 101)), step(1000, 151.0))
    steps = [int(found.replace(",", "")) for found in re.findall(r"step +([\d,]+)/1,000", text)]
    assert steps == [1, 21, 41, 61, 81, 1000]
    assert "\r" not in text and "\x1b" not in text
    assert len({line.index("loss") for line in text.splitlines()}) == 1, "columns line up"


def test_on_a_terminal_progress_stays_on_one_line_below_the_rest() -> None:
    text = printed(step(1, 100.0), step(2, 100.1), step(3, 100.5), Log(text="hello", time=100.6), live=True)
    assert text.count("\r\x1b[2K") == 3 and "step    2/" not in text
    assert text.endswith("step     3/1,000  epoch   0.03  loss 2.000    1,234 tok/s  2 min left\n")
    before, _, after = text.rpartition("hello\n")
    assert before.endswith(re.findall(r"\d\d:\d\d:\d\d  ", text)[0]) and "step" in after


@pytest.mark.parametrize("live", [True, False])
def test_hostile_text_is_harmless(live: bool) -> None:
    stage = StagePlan(name=HOSTILE, epochs=1, steps=1, tokens_per_epoch=1, documents=1, learning_rate=0.1)
    events = [
        Log(text=HOSTILE),
        Sample(step=1, prompt=HOSTILE, text=HOSTILE),
        Advice(code="x", severity="error", text=HOSTILE),
        Failed(code="x", text=HOSTILE, fix=HOSTILE),
        plan(model=HOSTILE, device=HOSTILE, stages=[stage, stage]),
    ]
    text = printed(*events, live=live)
    assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160))}
    assert "\u202e" not in text


def test_what_is_worth_a_line() -> None:
    text = printed(
        Device(memory=1, memory_total=2), Log(text="quiet", level="debug"), Log(text="careful", level="warning"),
        Advice(code="x", severity="hint", text="Maybe.", fix="Try."),
    )  # fmt: skip
    assert [line[10:] for line in text.splitlines()] == ["warning: careful", "Maybe. Try."]


def test_the_plan_in_four_lines() -> None:
    assert plan_lines(plan()) == [
        "plan: models/m, nano, 1,310,000 parameters, vocabulary 4,096",
        "300 documents, 15 held out; 40,000 tokens, 158 kB of text",
        "50 epochs, 1,250 steps, about 2 min",
        "cpu, fp32, 2 threads; 600 MB of memory, 16 MB a checkpoint",
    ]
    stages = [
        StagePlan(name=name, epochs=1, steps=2, tokens_per_epoch=3, documents=4, learning_rate=0.1) for name in "ab"
    ]
    assert "stage b: 4 documents, 1 epoch, 2 steps, lr 1.0e-1" in plan_lines(plan(stages=stages))
    assert "none held out" in plan_lines(plan(validation_documents=0))[1]


def test_a_step_without_an_estimate() -> None:
    assert step_line(Step(
        step=1, steps=0, epoch=0.0, loss=float("nan"), learning_rate=0.0, grad_norm=0.0, tokens=0, tokens_per_second=0.0
    )).endswith("- left")  # fmt: skip


class Broken(io.StringIO):
    """A terminal that went away."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_nobody_listening_is_no_reason_to_stop() -> None:
    for lines in (RunLines(Broken()), RunLines(Broken(), live=True), JsonLines(Broken())):
        lines(step(1, 1.0))
        lines(Log(text="x"))
        lines.close()


def test_json_lines_are_events() -> None:
    stream = io.StringIO()
    JsonLines(stream)(Log(text=HOSTILE, seq=3))
    assert decode(stream.getvalue()) == Log(text=HOSTILE, seq=3) and stream.getvalue().count("\n") == 1
    assert isinstance(lines_for(json=True), JsonLines) and isinstance(lines_for(json=False), RunLines)


def test_tables_and_facts_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    put_table([("name", "n"), ("a\nb\x1b", "10"), ("", "9")], right=(1,))
    put_facts([("answer", "one\ntwo"), ("x", "")])
    table = ["name   n", "a b␛  10", "       9"]
    assert capsys.readouterr().out.splitlines() == [*table, "answer  one", "        two", "x"]


@pytest.mark.parametrize("room", range(10, 130, 7))
def test_progress_fits_and_keeps_the_time_that_is_left(room: int) -> None:
    line = step_line(step(12345, 1.0, steps=100_000), room)
    assert len(line) <= room
    if room >= 50:
        assert line.endswith("2 min left") and "12,345/100,000" in line


def test_done_and_failed_are_said_by_attach() -> None:
    text = printed(Done(val_bpb=1.25, best_step=3, seconds=61.0, tokens=9, path="models/m"))
    assert "finished after 61 s, val 1.250 bits/byte: models/m" in text
