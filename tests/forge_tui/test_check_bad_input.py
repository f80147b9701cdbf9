"""`forge-tui check` with what nobody should feed it: one clear finding, the right exit code, and never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.text import lint, source
from forge_tui import check
from forge_tui.cli import main

ROOT = Path(__file__).parents[2]
GOOD = "".join(f"Q: What is number {n}, and why?\nA: It is {n * 37 % 101} because of rule {n}.\n\n" for n in range(400))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _loop(path: Path) -> None:
    path.with_name("other").symlink_to(path)
    path.symlink_to("other")


MADE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "deep JSON": ("a.json", lambda path: path.write_text("[" * 200_000 + "]" * 200_000), "nested too deeply"),
    "deep JSON objects": ("a.json", lambda path: path.write_text('{"a":' * 100_000), "nested too deeply"),
    "deep JSON line": ("a.jsonl", lambda path: path.write_text('{"a":' * 90_000 + "1" + "}" * 90_000), "too deeply"),
    "broken JSON": ("a.json", lambda path: path.write_text('[{"text": "a"}, {"text": oops}]'), "line 1"),
    "no JSON at all": ("a.jsonl", lambda path: path.write_text("nothing\nof it\n"), "not valid JSON"),
    "a pipe": ("a.txt", os.mkfifo, "a pipe or a device"),
    "links in a circle": ("a.txt", _loop, "lead in a circle"),
    "a folder": ("a.txt", Path.mkdir, "This is a folder"),
    "a device": ("/dev/zero", lambda path: None, "a pipe or a device"),
    "nothing": ("a.txt", lambda path: None, "no such file"),
    "an empty file": ("a.txt", lambda path: path.write_bytes(b""), "empty"),
    "a cut gzip file": (
        "a.gz",
        lambda path: path.write_bytes(gzip.compress(GOOD.encode())[:-40]),
        "damaged or cut off",
    ),
    "a program": ("a.txt", lambda path: path.write_bytes(b"\x7fELF" + bytes(999)), "not text but a program"),
    "UTF-16": ("a.txt", lambda path: path.write_text(GOOD, "utf-16"), "UTF-16"),
    "Latin-1 in the middle": ("a.txt", lambda path: path.write_bytes(GOOD.encode() + b"Q: caf\xe9?\n"), "Windows-1252"),
    "a quote without end": ("a.csv", lambda path: path.write_text('text\n"' + "a\n" * 10), "usable"),
}


@pytest.mark.parametrize("name", MADE)
def test_what_cannot_be_read_is_told(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    file, make, says = MADE[name]
    make(folder / file)
    expected = 0 if says == "usable" else 3
    assert main(["check", file]) == expected
    captured = capsys.readouterr()
    assert says in " ".join(captured.out.split())
    assert "Traceback" not in captured.out + captured.err
    assert max(map(len, captured.out.splitlines())) <= 100
    assert main(["check", file, "--json"]) == expected
    assert json.loads(capsys.readouterr().out)["usable"] == (expected == 0)


def test_a_gzip_bomb(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BOMB_BYTES", 4 << 20)
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"all the same\n" * (1 << 20)))
    assert main(["check", "a.txt.gz"]) == 3
    assert "unpacks to more than 200 times its size" in capsys.readouterr().out


def _meddle(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something to a file when its first block is read."""
    read, done = lint._FileReader._block, []

    def block(self: Any, block: Any) -> None:
        if not done:
            done.append(do())
        read(self, block)

    monkeypatch.setattr(lint._FileReader, "_block", block)


def test_a_file_that_shrinks(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.txt").write_text(GOOD * 80)
    _meddle(monkeypatch, lambda: os.truncate("a.txt", 1 << 20))
    assert main(["check", "a.txt"]) == 3
    assert "shrank while it was read" in capsys.readouterr().out


def test_a_file_that_changes(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.txt").write_text(GOOD)
    _meddle(monkeypatch, lambda: (folder / "a.txt").open("a").write("Q: more"))
    assert main(["check", "a.txt"]) == 0
    assert "written to while it was read" in capsys.readouterr().out


def test_errors_that_lose_nothing_are_told_from_those_that_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tags.txt").write_text(GOOD + "Q: Do it?\nA: I do it now.\n<tool_call>{</tool_call>\n")
    (folder / "rows.jsonl").write_text('{"text": "a"}\n{"text": \n')
    for file, loses in (("tags.txt", False), ("rows.jsonl", True)):
        assert main(["check", file]) == 3
        assert ("--force trains on it all the same" in capsys.readouterr().out) == (not loses)
        assert main(["check", file, "--json"]) == 3
        assert json.loads(capsys.readouterr().out)["loses_nothing"] == (not loses)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_with_the_time_that_is_left_on_a_terminal_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.txt").write_text(GOOD * 80)
    monkeypatch.setattr(check, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(check, "REDRAW_SECONDS", 0.0)
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert main(["check", "a.txt"]) == 0
        assert ("\rchecking a.txt" in stream.getvalue()) == shown
        if shown:
            assert " s left\x1b[K\r" in stream.getvalue()
            assert stream.getvalue().endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["check", "a.txt", "--json"]) == 0
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


# VmHWM, not ru_maxrss: the latter begins with the size of the process that forked this one.
CHECK_AND_SAY_THE_PEAK = """
import sys
from forge_tui.cli import main
code = main(["check", *sys.argv[1:]])
print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux' /proc")
@pytest.mark.parametrize(
    ("file", "start", "code", "says"),
    [("a.txt", b"", 0, "too long to hold at once"), ("a.jsonl", b'{"text": "', 3, "longer than can be read")],
)
def test_200_megabytes_on_one_line(folder: Path, file: str, start: bytes, code: int, says: str) -> None:
    with (folder / file).open("wb") as stream:
        stream.write(start)
        for _ in range(200):
            stream.write(b"and so on it goes without an end for ever, " * 23255)
    command = [sys.executable, "-c", CHECK_AND_SAY_THE_PEAK, file]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == code, done.stderr
    assert says in " ".join(done.stdout.split())
    assert int(done.stderr.split()[-2]) < 300 * 1024
