"""Files taken apart piece by piece: the same documents, the same lines, whatever the pieces and wherever one looks."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import DataError
from engine.text import outline as module
from engine.text.formats import read_documents
from engine.text.outline import Outline
from engine.text.problem import Problem

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "Q:",
    "how",
    "is",
    "it,",
    '"quoted"',
    "text",
    "über",
    "naïve",
    "漢字",
    "<tool_call>",
    "#",
    "x",
]
Spans = list[tuple[int, int, list[tuple[str, str]]]]


def ignore(problem: Problem) -> None:
    """Only the documents are compared."""


def sentence(rng: random.Random, most: int = 12) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def block(rng: random.Random) -> str:
    return "\n".join(sentence(rng) for _ in range(rng.randint(1, 3)))


def qa(rng: random.Random) -> str:
    out = []
    for _ in range(150):
        out.append(f"Q: {sentence(rng)}\nA: {block(rng)}\n")
        out += ["# --- a comment\n"] if rng.random() < 0.2 else []
        out += ["User: hey\nAssistant: there\n"] if rng.random() < 0.05 else []
    return "\n".join(out)


def chat(rng: random.Random) -> str:
    system = "System: be nice\n"
    return "\n".join(
        f"{system if rng.random() < 0.2 else ''}User: {sentence(rng)}\nAssistant: {block(rng)}\n"
        "User: more\nAssistant: ok\n"
        for _ in range(100)
    )


def instruction(rng: random.Random) -> str:
    return "\n\n".join(f"### Instruction:\n{sentence(rng)}\n\n### Response:\n{block(rng)}" for _ in range(100))


def chatml(rng: random.Random) -> str:
    def one() -> str:
        head = "<|im_start|>system\nyou<|im_end|>\n" if rng.random() < 0.5 else "\n"
        return f"{head}<|im_start|>user\n{sentence(rng)}<|im_end|>\n<|im_start|>assistant\n{block(rng)}<|im_end|>"

    return "\n".join(one() for _ in range(100))


def table(rng: random.Random, delimiter: str) -> str:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    rows.writerow(["question", "answer"])
    for _ in range(150):
        rows.writerow([sentence(rng), block(rng)])
    return out.getvalue()


def records(rng: random.Random) -> list[dict[str, str]]:
    return [{"prompt": sentence(rng), "completion": block(rng)} for _ in range(150)]


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "qa": qa,
    "chat": chat,
    "instruction": instruction,
    "chatml": chatml,
    "router": lambda rng: "\n\n".join(f"INPUT: {sentence(rng)}\nTASK: {sentence(rng)}" for _ in range(150)),
    "text": lambda rng: "\n\n".join(block(rng) for _ in range(150)),
    "markdown": lambda rng: "\n\n".join(f"{'#' * rng.randint(1, 3)} {sentence(rng, 3)}\n\n{block(rng)}"
                                        for _ in range(100)),
    "jsonl": lambda rng: "\n".join(json.dumps(one) for one in records(rng)) + "\n{broken\n",
    "json": lambda rng: json.dumps(records(rng), indent=rng.choice([1, 2, 4])),
    "csv": lambda rng: table(rng, ","),
    "tsv": lambda rng: table(rng, "\t"),
}  # fmt: skip


def by_pieces(outline: Outline) -> Spans:
    found: Spans = []
    for index in range(outline.pieces):
        piece = outline.piece(index)
        for entry in piece.entries:
            if entry.document is not None:
                first, last = outline.line_of(piece, entry.first_line), outline.line_of(piece, entry.last_line)
                assert first is not None and last is not None
                found.append((first, last, [(turn.role, turn.text) for turn in entry.document.turns]))
    return found


def by_reader(path: Path, format: str) -> Spans:  # noqa: A002
    return [
        (one.first_line, one.last_line, [(turn.role, turn.text) for turn in one.turns])
        for one in read_documents(path, format, report=ignore)
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [512, 4096, 1 << 15])
@pytest.mark.parametrize("format", MAKERS)
def test_pieces_hold_the_readers_documents(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,  # noqa: A002
    size: int,
    newline: str,
) -> None:
    monkeypatch.setattr(module, "PIECE", size)
    path = tmp_path / f"data.{format if format in ('json', 'jsonl', 'csv', 'tsv') else 'txt'}"
    path.write_bytes(MAKERS[format](random.Random(f"{format} {size}")).replace("\n", newline).encode())
    outline = Outline.open(path, format)
    outline.count()
    assert by_pieces(outline) == by_reader(path, format)
    assert outline.documents == len(by_reader(path, format))
    assert outline.lines is not None
    for line in range(2, outline.lines + 1, 23):
        found = outline.find_line(line)
        assert found is not None and outline.line_of(*found) == line
    outline.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["Q: a?", "A: b.", "", "# c", "text", "User: u", "Assistant: v", "  ", "Q:", "é" * 30]),
             max_size=60),
    st.integers(16, 200),
)  # fmt: skip
def test_no_line_is_lost_whatever_the_pieces(tmp_path: Path, lines: list[str], size: int) -> None:
    path = tmp_path / "data.txt"
    path.write_text("\n".join(["Q: x", "A: y", "", *lines]), encoding="utf-8")
    before, module.PIECE = module.PIECE, size
    try:
        outline = Outline.open(path, "qa")
        outline.count()
        shown: set[int] = set()
        for index in range(outline.pieces):
            piece = outline.piece(index)
            for entry in piece.entries:
                first = outline.line_of(piece, entry.first_line)
                assert first is not None
                shown |= set(range(first, first + entry.last_line - entry.first_line + 1))
    finally:
        module.PIECE = before
    wanted = {number for number, line in enumerate(path.read_text("utf-8").split("\n"), 1) if line.strip()}
    assert wanted <= shown


def test_a_document_longer_than_anything_is_shown_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("Q: Tell me.\nA: " + "x" * 3_000_000 + "\n\nQ: And now?\nA: Done, all of it.\n")
    outline = Outline.open(path)
    outline.count()
    length = 0
    for index in range(outline.pieces):
        for entry in outline.piece(index).entries:
            turns = entry.document.turns if entry.document is not None else ()
            length += len(entry.text) + sum(len(turn.text) for turn in turns)
    assert length > 3_000_000
    assert any(entry.torn for index in range(outline.pieces) for entry in outline.piece(index).entries)
    piece = outline.piece(outline.pieces - 1)
    assert piece.entries[-1].document is not None and piece.entries[-1].document.turns[0].text == "And now?"


def test_lines_that_are_in_no_document_say_why(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("# a comment\nQ: Lost?\n\nQ: Found?\nA: Yes, it was found.\n\nA: An answer to nothing.\n")
    entries = Outline.open(path).piece(0).entries
    assert [(entry.first_line, entry.problem, entry.document is not None) for entry in entries] == [
        (1, "", False), (2, "orphan_question", False), (4, "", True), (7, "orphan_answer", False)
    ]  # fmt: skip


def test_what_can_only_be_read_from_its_start_is_shown_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(3000)).encode()))
    outline = Outline.open(path)
    outline.count()
    assert outline.partial and len(outline.piece(0).entries) == module.HEAD_DOCUMENTS
    assert outline.find_line(500) is not None and outline.find_line(2500) is None


def test_text_in_another_encoding_is_shown_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"Q: Wie?\nA: Sch\xf6n, sehr sch\xf6n ist es.\n" * 9)
    outline = Outline.open(path)
    assert "\ufffd" in str(outline.piece(0).entries)
    assert "UTF-8" in str(outline.problem)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(DataError):
        Outline.open(path)
    with pytest.raises(DataError):
        Outline.open(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(DataError):
        Outline.open(tmp_path / "empty")


def test_a_search_goes_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.txt"
    path.write_text("Q: Where is it?\nA: The Zebra is here.\n\n" * 3)
    outline = Outline.open(path)
    first = outline.search("zebra", -1)
    second = outline.search("ZEBRA", first or 0)
    third = outline.search("zebra", second or 0)
    assert first is not None and second is not None and third is not None and first < second < third
    assert outline.search("zebra", third) == first
    assert outline.search("lion", 0) is None
    piece, line = outline.find_offset(second)
    assert outline.line_of(piece, line) == 5


def test_a_file_that_shrinks_or_closes_meanwhile_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("Q: Where is it?\nA: The zebra is here.\n\n" * 9000)
    outline = Outline.open(path)
    path.write_text("Q: Short.\n")
    assert outline.changed
    outline.count()
    for index in range(outline.pieces):
        outline.piece(index)
    outline.close()
    assert outline.piece(outline.pieces - 1).entries == ()
