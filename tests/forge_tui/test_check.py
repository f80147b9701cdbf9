"""`forge-tui check`: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forge_tui.check import _ProgressLine
from forge_tui.cli import main

ROOT = Path(__file__).parents[2]
GOOD = "".join(f"Q: What is number {n}, and why?\nA: It is {n * 37 % 101} because of rule {n}.\n\n" for n in range(600))
TOOL = 'Q: Look it up?\nA: I look.\n<tool_call>{"tool": "web_search", "params": {"query": "a"}}</tool_call>\n'
TOOL += '<tool_result>{"success": true, "result": "b"}</tool_result>\nIt is b, as it says there.\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.txt").write_text(GOOD)
    (tmp_path / "bad.txt").write_text("Q: a?\nA: b\n<tool_call>{</tool_call>\n\n" + GOOD)
    (tmp_path / "old.txt").write_bytes(GOOD.replace("because", "für").encode("cp1252"))
    (tmp_path / "tool.txt").write_text(TOOL)
    return tmp_path


def test_good_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.txt"]) == 0
    out = capsys.readouterr().out
    assert "good.txt  Q/A, certain · 1,800 lines · 600 documents" in out
    assert "600 documents · 1,200 turns · 1,800 lines" in out
    assert "usable: 0 errors" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_errors_end_with_3_and_name_file_and_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad.txt", "good.txt"]) == 3
    out = capsys.readouterr().out
    assert "error    tool tags whose JSON does not parse: bad.txt" in out
    assert "line 3" in out
    assert "not usable: 1 error" in out
    assert "--force trains on it all the same" in out


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad.txt", "--json", "--size", "small"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is False
    assert report["findings"][0]["code"] == "tool_json"
    assert report["findings"][0]["line"] == 3
    assert report["counts"]["documents"] == 601


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none*.txt"], 3, "matches no file"),
        (["good.txt", "--size", "smal"], 2, 'Did you mean "small"'),
        (["good.txt", "--format", "jsn"], 2, "Formats:"),
        (["good.txt", "--convert", "xml"], 2, "jsonl, qa, chat, text"),
        (["good.txt", "--columns", "prompt"], 2, "FIELD=NAME"),
        (["good.txt", "--show-mask", "0"], 2, "from 1"),
        (["good.txt", "--show-mask", "601"], 3, "only 600 documents"),
        (["good.txt", "--fix", "."], 2, "replace the file itself"),
        (["good.txt", "--prompt-weight", "2", "--show-mask", "1"], 2, "between 0 and 1"),
        ([], 2, "FILE"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert main(["check", *arguments]) == code
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_a_missing_file_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "missing.txt"]) == 3
    assert "There is no such file" in capsys.readouterr().out


def test_fix_writes_copies_and_lists_every_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "old.txt", "--fix", "repaired"]) == 3
    out = capsys.readouterr().out
    assert "repaired/old.txt" in out
    assert "1  files rewritten as UTF-8" in out
    assert "für" in (folder / "repaired" / "old.txt").read_text("utf-8")
    assert "Windows-1252" in (folder / "repaired" / "changes.txt").read_text("utf-8")
    assert main(["check", "repaired/old.txt"]) == 0


def test_convert_to_stdout_keeps_the_report_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tool.txt", "--convert", "jsonl"]) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert [message["role"] for message in record["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert "usable" in captured.err


def test_fix_and_convert_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "old.txt", "tool.txt", "--fix", "out", "--convert", "chat"])
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "changes.txt",
        "old.chat.txt",
        "old.txt",
        "tool.chat.txt",
        "tool.txt",
    ]
    assert "User: Look it up?\nAssistant: I look." in (folder / "out" / "tool.chat.txt").read_text()
    assert "converted to chat" in capsys.readouterr().out


def test_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").write_text("frage,antwort\na?,b\n")
    assert main(["check", "t.csv", "--columns", "prompt=frage", "--columns", "completion=antwort", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["turns"] == 2


def test_the_mask_can_be_read_without_colour(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "good.txt", "tool.txt", "--show-mask", "601", "--prompt-weight", "0.1"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    shown = out[out.index("mask of document 601 (tool.txt:1)") :]
    signs = {line[2] for line in shown.splitlines()[2:]}
    assert signs == {"=", "~", "."}
    assert "~ weight 0.1" in shown
    assert any(line.startswith("  =") and "It is b, as it says there." in line for line in shown.splitlines())
    assert any(line.startswith("  .") and "tool_result" in line for line in shown.splitlines())
    assert main([*arguments[:2], "--show-mask", "1", "--json"]) == 0
    mask = json.loads(capsys.readouterr().out)["mask"]
    assert {span["kind"] for span in mask["spans"]} == {"trained"}


def test_hostile_text_and_names_reach_no_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "evil\x1b[2J\n.txt"
    (folder / name).write_text("Q: \x1b]0;x\x07?\nA: \u202eb\x9b31m ok then fine\n" * 3)
    main(["check", name, "--show-mask", "1"])
    captured = capsys.readouterr()
    for character in captured.out + captured.err:
        assert character == "\n" or character.isprintable()


def test_progress_is_quiet_at_first_and_rewrites_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from engine.text.lint import Progress

    line = _ProgressLine()
    line.show(Progress(1, 2, "a", 0.1))
    line._started -= 5
    line.show(Progress(5_000_000, 10_000_000, "data/a.txt", 2.0))
    line.clear()
    err = capsys.readouterr().err
    assert err == "\rchecking data/a.txt   50 %  5 of 10 MB, 2 s left\x1b[K\r\x1b[K"


def test_checking_imports_neither_torch_nor_textual(folder: Path) -> None:
    code = (
        "import sys; from forge_tui.cli import main; main(['check', 'good.txt', '--json', '--show-mask', '1']);"
        "print(sorted({'torch', 'textual', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
    )
    assert done.stderr.strip() == "[]"
