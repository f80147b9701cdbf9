"""Errands on data files: a real process, its progress, its result, and its end with whoever asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine.text.errand import Asked, Check, Convert, Repair, Request, request_line

ROOT = Path(__file__).parents[3]


def ask(request: Request) -> list[dict[str, Any]]:
    """Everything an errand says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.text.errand"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(request_line(request))
    process.stdin.flush()
    said = [json.loads(line) for line in process.stdout]
    process.wait()
    process.stdin.close()
    process.stdout.close()
    return said


def test_a_check_tells_progress_and_the_report(tmp_path: Path) -> None:
    path = tmp_path / "data \udcff.txt"
    path.write_text("".join(f"Q: What is {n}?\nA: It is a number like any other.\n\n" for n in range(60_000)))
    said = ask(Check(files=(Asked(str(path)),), sequence_length=64))
    assert said[0]["progress"][1] == path.stat().st_size
    result = said[-1]["result"]
    assert result["report"]["counts"]["documents"] == 60_000 and result["vocabulary"] >= 512
    assert result["report"]["files"][0]["name"] == str(path)


def test_a_repair_and_a_conversion(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("Q: caf\u00c3\u00a9?\nA: Yes, the caf\u00c3\u00a9 is open.\n\nQ: Lost?\n")
    (done,) = ask(Repair(files=(str(path),), folder=str(tmp_path / "out")))[-1]["result"]
    assert done["changes"] == {"mojibake": 2} and "café" in Path(done["copy"]).read_text()
    copy = tmp_path / "copy.jsonl"
    done = ask(Convert(file=str(path), format="auto", target="jsonl", copy=str(copy)))[-1]["result"]
    assert done["documents"] == 1 and done["left_out"] == {"orphan_question": 1}
    assert json.loads(copy.read_text())["messages"][0]["role"] == "user"
    again = ask(Convert(file=str(path), format="auto", target="jsonl", copy=str(copy)))[-1]
    assert "already" in again["error"]["text"]


def test_the_names_of_columns_reach_a_check_and_a_conversion(tmp_path: Path) -> None:
    path, copy = tmp_path / "data.csv", tmp_path / "copy.jsonl"
    path.write_text("frage,antwort\nWhat is iron?,A metal that rusts when it is wet.\n")
    columns = {"prompt": "frage", "completion": "antwort"}
    asked = Asked(str(path), "auto", tuple(columns.items()))
    assert ask(Check(files=(asked,)))[-1]["result"]["report"]["counts"]["documents"] == 1
    ask(Convert(file=str(path), format="auto", target="jsonl", copy=str(copy), columns=columns))
    assert json.loads(copy.read_text())["messages"][0]["content"] == "What is iron?"


def test_an_errand_ends_when_nobody_waits_any_more(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("".join(f"Q: What is {n}?\nA: It is a number like any other.\n\n" for n in range(300_000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.text.errand"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdin is not None
    process.stdin.write(request_line(Check(files=(Asked(str(path)),))))
    process.stdin.flush()
    time.sleep(0.5)
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(20) == 0
