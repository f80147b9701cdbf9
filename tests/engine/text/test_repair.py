"""Repaired copies: what is changed, what is listed, and that the files themselves stay as they are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.text.formats import read_documents
from engine.text.lint import lint
from engine.text.mend import cleaned, mended_json, mended_tools
from engine.text.repair import CHANGES, repair

FLAWED = (
    "\ufeff# header\r\n\r\nQ: Itâ€™s what?\r\nA: The ca\u200bfe\0 is \x1b[31mred.\r\n\r\n"
    'Q: Draw?\nA: I draw.\n<|tool_call|>generate_image("a")<|tool_end|>\nThere.\n\n'
    "Q: Read?\nA: I read.\n<tool_call>{'tool': 'read_file', 'params': {'path': 'a',},}</tool_call>\nDone.\n\n"
    "Q: Twice?\nA: It is twice.\n\nQ: twice?\nA: It is  twice.\n\nQ: End?\nA: The end.\n"
)


def fixed(folder: Path, content: str | bytes, name: str = "a.txt") -> tuple[str, dict[str, int], str]:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    (result,) = repair([path], folder / "fixed")
    assert path.read_bytes() == data
    assert result.failed == ""
    return Path(result.copy).read_text("utf-8"), dict(result.changes), (folder / "fixed" / CHANGES).read_text("utf-8")


def test_everything_that_can_be_repaired_is(tmp_path: Path) -> None:
    text, changes, log = fixed(tmp_path, FLAWED)
    assert text == (
        "# header\n\nQ: It’s what?\nA: The cafe is [31mred.\n\n"
        'Q: Draw?\nA: I draw.\n<tool_call>{"tool": "generate_image", "params": {"prompt": "a"}}</tool_call>\nThere.\n\n'
        'Q: Read?\nA: I read.\n<tool_call>{"tool": "read_file", "params": {"path": "a"}}</tool_call>\nDone.\n\n'
        "Q: Twice?\nA: It is twice.\n\n\nQ: End?\nA: The end.\n"
    )
    assert changes == {
        "bom": 1,
        "line_ends": 5,
        "characters": 1,
        "mojibake": 1,
        "old_tools": 1,
        "tool_json": 1,
        "duplicate": 1,
    }
    lines = log.splitlines()
    assert len(lines) == 7
    assert any(":3  mojibake  " in line and "Itâ€™s" in line and "It’s" in line for line in lines)
    assert any(":19  duplicate  Q: twice? → as " in line and line.endswith("a.txt:16") for line in lines)


def test_a_repaired_copy_needs_no_second_repair(tmp_path: Path) -> None:
    text, _, _ = fixed(tmp_path, FLAWED)
    again, changes, log = fixed(tmp_path, text, "b.txt")
    assert (again, changes, log) == (text, {}, "")
    codes = {finding.code for finding in lint([tmp_path / "fixed" / "b.txt"]).findings}
    assert codes <= {"few_lines", "short_answer"}


@pytest.mark.parametrize("codec", ["cp1252", "utf-16", "utf-16-be", "utf-32", "mac_roman"])
def test_other_encodings_become_utf8(tmp_path: Path, codec: str) -> None:
    text = "Q: Schöne Grüße über Möbel für “große” Füße?\nA: Natürlich, schöne Grüße an Jürgen und Käthe.\n\n" * 3
    data = text.encode(codec)
    repaired, changes, _ = fixed(tmp_path, data)
    assert repaired.split("\n\n")[0] == text.split("\n\n")[0]
    assert changes["encoding"] == 1


def test_stray_bytes_in_utf8_are_read_as_windows_characters(tmp_path: Path) -> None:
    good = "Q: Grüße aus Köln, schönes Wetter?\nA: Über den Dächern ist es schön.\n\n".encode()
    text, changes, _ = fixed(tmp_path, good * 5 + b"Q: caf\xe9?\nA: It\x92s open now.\n")
    assert "Q: café?\nA: It’s open now." in text
    assert "Grüße aus Köln" in text
    assert changes["encoding"] == 1


def test_json_stays_json(tmp_path: Path) -> None:
    record = {
        "messages": [{"role": "user", "content": "Itâ€™s"}, {"role": "assistant", "content": "<|tool_call|>f('x')"}]
    }
    line = json.dumps(record, ensure_ascii=False)
    text, changes, _ = fixed(tmp_path, f"{line}\n{line}\n", "a.jsonl")
    assert changes == {"mojibake": 2, "duplicate": 1}
    assert json.loads(text) == json.loads(line.replace("Itâ€™s", "It’s"))


def test_gzip_becomes_plain_and_equal_names_get_numbers(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt.gz").write_bytes(gzip.compress(f"Q: {folder}?\nA: yes, {folder}\n".encode()))
    results = repair([tmp_path / "x" / "a.txt.gz", tmp_path / "y" / "a.txt.gz"], tmp_path / "fixed")
    assert [Path(result.copy).name for result in results] == ["a.txt", "a-2.txt"]
    assert Path(results[1].copy).read_text() == "Q: y?\nA: yes, y\n"


def test_doubles_across_files_are_removed_from_the_later_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Q: a?\nA: b\n")
    (tmp_path / "b.txt").write_text("Q: a?\nA: b\n\nQ: c?\nA: d\n")
    results = repair([tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "fixed")
    assert Path(results[1].copy).read_text() == "\nQ: c?\nA: d\n"


def test_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Q: a\nA: b\n")
    with pytest.raises(UsageError, match="replace the file itself"):
        repair([tmp_path / "a.txt"], tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="already a file"):
        repair([tmp_path / "a.txt"], tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "mine"
    repair([tmp_path / "a.txt"], tmp_path / "fresh")
    repair([tmp_path / "a.txt"], tmp_path / "fresh")  # our own copies may be made again


def test_what_cannot_be_read_gets_no_copy_and_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Q: a\nA: b\n")
    results = repair([tmp_path / "none.txt", tmp_path / "a.txt"], tmp_path / "fixed")
    assert "no such file" in results[0].failed
    assert results[0].copy == ""
    assert sorted(path.name for path in (tmp_path / "fixed").iterdir()) == ["a.txt", CHANGES]


@given(st.text(alphabet="QA: \n#<>_ab\ufeff\r\0é”Ã©â€™\u202e\x1b{}'\",", max_size=80))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "a.txt"
    path.write_bytes(text.encode())
    (result,) = repair([path], folder / "fixed")
    if not result.failed and Path(result.copy).read_text("utf-8").strip():
        list(read_documents(result.copy, "text"))
        assert "\r" not in Path(result.copy).read_bytes().decode()


@pytest.mark.parametrize(
    ("body", "better"),
    [
        ('{"tool": "x", "params": {}}', None),
        ('{"tool": "x", "params": {},}', '{"tool": "x", "params": {}}'),
        ("{'tool': 'x', 'params': {'a': True, 'b': None}}", '{"tool": "x", "params": {"a": true, "b": null}}'),
        ('{“tool”: “x”, "params": {}}', '{"tool": "x", "params": {}}'),
        ('{"tool": "x", "params": {}', '{"tool": "x", "params": {}}'),
        ("nothing", None),
        ("[1, 2,]", None),
        ("{" * 5000, None),
        ('{"tool": __import__("os")}', None),
    ],
)
def test_tool_json(body: str, better: str | None) -> None:
    assert mended_json(body) == better


def test_tool_tags_keep_their_place() -> None:
    notes: list[tuple[int, str, str]] = []
    text = "a\n<tool_call>{'tool': 'x'}</tool_call> b <tool_result>{\"success\": true}</tool_result>"
    better = mended_tools(text, lambda *note: notes.append(note))
    assert better == 'a\n<tool_call>{"tool": "x"}</tool_call> b <tool_result>{"success": true}</tool_result>'
    assert notes == [(1, "{'tool': 'x'}", '{"tool": "x"}')]


@given(st.text(max_size=60))
def test_cleaning_is_done_once(text: str) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)
