"""The one door to all formats: the sniffer, the names, the globs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import DataError, UsageError
from engine.text.formats import FORMATS, LABELS, expand, read_documents, sniff

ROOT = Path(__file__).parents[3]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


QA = "# header\n\nQ: What is Python?\nA: A language.\n\nQ: And Java?\nA: Another one.\n"
CHAT = "User: Hi\nAssistant: Hello there.\n\nUser: Bye\nAssistant: See you.\n"
BOOK = "It was a dark night.\nIt rained.\n\nThe end was near.\n" * 30

SNIFFED = {
    "qa.txt": (QA, "qa", "certain"),
    "one.txt": ("Q: a\nA: b", "qa", "certain"),
    "chat.txt": (CHAT, "chat", "certain"),
    "human.txt": (CHAT.replace("User", "Human").replace("Assistant", "AI"), "chat", "certain"),
    "router.txt": ("INPUT: a\nTASK: chat\n\nINPUT: b\nTASK: code\n", "router", "certain"),
    "docstring.txt": ('"""\nData, version 1\n"""\n\n' + QA, "qa", "certain"),
    "intro.txt": ("Some words first.\n\n" + QA, "qa", "likely"),
    "instruction.txt": ("### Instruction:\nDo it\n\n### Response:\nDone\n", "instruction", "certain"),
    "chatml.txt": ("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n", "chatml", "certain"),
    "book.txt": (BOOK, "text", "likely"),
    "camera.txt": (BOOK.replace("rained", "rained in the USA: a lot"), "text", "likely"),
    "one_q.txt": (BOOK + "Q: a\nA: b\n" + BOOK, "text", "likely"),
    "chapters.txt": ("".join(f"Chapter {n}\n\n{BOOK}\n" for n in range(4)), "text-headings", "likely"),
    "separated.txt": ("one\n<|endoftext|>\ntwo\n\nmore\n<|endoftext|>\n", "text-whole", "likely"),
    "notes.md": ("# T\n\ntext\n", "markdown", "certain"),
    "notes.txt": ("# T\n\n- a\n- b\n\n## S\n\n```\nx\n```\n", "markdown", "likely"),
    "rows.jsonl": ('{"text": "a"}\n{"text": "b"}\n', "jsonl", "certain"),
    "rows.txt": ('{"messages": []}\n', "jsonl", "certain"),
    "rows.json": ('[{"text": "a"}]', "json", "certain"),
    "pretty.json": ('{\n  "data": [\n {"text": "a"}\n]}', "json", "likely"),
    "rows.csv": ("prompt,completion\na,b\n", "csv", "certain"),
    "rows.tsv": ("prompt\tcompletion\na\tb\n", "tsv", "certain"),
    "table.txt": ("question,answer\na,b\n", "csv", "likely"),
}


@pytest.mark.parametrize("name", SNIFFED)
def test_the_sniffer(tmp_path: Path, name: str) -> None:
    text, expected, certainty = SNIFFED[name]
    found = sniff(write(tmp_path, name, text))
    assert (found.format, found.certainty) == (expected, certainty), found.why
    assert found.why
    assert certainty in found.label


@pytest.mark.parametrize("name", SNIFFED)
def test_the_sniffer_sees_through_gzip_bom_and_line_ends(tmp_path: Path, name: str) -> None:
    text, expected, _ = SNIFFED[name]
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))
    assert sniff(path).format == expected


def test_changes_of_format_are_named_with_their_lines(tmp_path: Path) -> None:
    found = sniff(write(tmp_path, "a.txt", QA + QA + "\n" + CHAT + "\n" + QA))
    assert found.format == "qa"
    assert found.changes == ((16, "chat"), (24, "qa"))


def test_every_format_has_a_label() -> None:
    assert set(FORMATS) == set(LABELS)


def test_auto_reads_what_the_sniffer_says(tmp_path: Path) -> None:
    documents = list(read_documents(write(tmp_path, "a.txt", QA)))
    assert [document.format for document in documents] == ["qa", "qa"]
    assert documents[0].file == str(tmp_path / "a.txt")
    assert len(list(read_documents(tmp_path / "a.txt", "text"))) == 3


def test_an_unknown_format_or_field_is_refused_before_the_file_is_touched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='Did you mean "jsonl"'):
        read_documents(tmp_path / "none", "jsnol")
    with pytest.raises(UsageError, match="Fields: messages"):
        read_documents(tmp_path / "none", "csv", columns={"promt": "x"})


def test_broken_records_stop_a_reader_that_nobody_listens_to(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "a"}\n{"text": \n{"text": "c"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*forge-tui check"):
        list(read_documents(path))
    problems: list[object] = []
    assert len(list(read_documents(path, report=problems.append))) == 2
    assert len(problems) == 1


def test_globs(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.jsonl"):
        write(tmp_path, name, "x")
    (tmp_path / "sub.txt").mkdir()
    write(tmp_path / "sub.txt", "d.txt", "x")
    write(tmp_path, "odd[1].txt", "x")
    assert [path.name for path in expand(["*.txt"], tmp_path)] == ["a.txt", "b.txt", "odd[1].txt"]
    assert [path.name for path in expand(["b.txt", "*.txt", "c.jsonl"], tmp_path)] == [
        "b.txt",
        "a.txt",
        "odd[1].txt",
        "c.jsonl",
    ]
    assert [path.name for path in expand(["**/d.txt"], tmp_path)] == ["d.txt"]
    assert [path.name for path in expand(["odd[1].txt"], tmp_path)] == ["odd[1].txt"]
    assert expand([str(tmp_path / "a.txt")], Path("/")) == [tmp_path / "a.txt"]
    assert expand(["missing.txt"], tmp_path) == [tmp_path / "missing.txt"]
    with pytest.raises(DataError, match=r"none\*\.txt matches no file"):
        expand(["a.txt", "none*.txt"], tmp_path)
    with pytest.raises(DataError, match="No data file"):
        expand([], tmp_path)
    with pytest.raises(DataError, match="NUL"):
        expand(["a\0"], tmp_path)


def test_the_shipped_data_is_q_and_a() -> None:
    files = sorted((ROOT / "data").glob("*.txt"))
    assert files
    for path in files:
        assert sniff(path).label == "Q/A, certain"
        problems: list[object] = []
        assert len(list(read_documents(path, report=problems.append))) > 100
        assert {getattr(problem, "code", "") for problem in problems} <= {"comment"}


def test_reading_needs_neither_torch_nor_a_screen() -> None:
    code = "import sys, engine.text.formats; print(sorted({'torch','textual','numpy','tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
