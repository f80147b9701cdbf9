from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DiskFullError, UsageError
from engine.project import Project
from engine.text import conversation_file
from engine.text.conversation import Turn
from engine.text.conversation_file import append_conversation, check_file
from engine.text.formats import read_documents

TALK = [
    Turn("user", "What is a loop?"),
    Turn("assistant", "It repeats."),
    Turn("user", "Why?"),
    Turn("assistant", "To\nwork."),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "data").mkdir()
    return Project(tmp_path)


def read(path: Path) -> list[list[tuple[str, str]]]:
    return [[(turn.role, turn.text) for turn in document.turns] for document in read_documents(path)]


TOLD = [(turn.role, turn.text) for turn in TALK]


@pytest.mark.parametrize("name", ["new.txt", "new.jsonl"])
def test_what_is_saved_is_what_is_read(project: Project, name: str) -> None:
    path = check_file(project, name)
    assert path == project.data / name
    for _ in range(3):
        append_conversation(path, TALK)
    assert read(path) == [TOLD, TOLD, TOLD]


@pytest.mark.parametrize("before", ["Q: a\nA: b b b b b", "Q: a\nA: b b b b b\n", "Q: a\nA: b b b b b\n\n", "\n\n"])
def test_a_conversation_never_runs_into_what_was_there(project: Project, before: str) -> None:
    path = project.data / "old.txt"
    path.write_text(before)
    append_conversation(path, TALK)
    assert path.read_text().startswith(before)
    assert read(path)[-1] == TOLD and len(read(path)) == (2 if before.strip() else 1)


def test_a_file_keeps_its_format(project: Project) -> None:
    path = project.data / "chat.txt"
    path.write_text("User: hello there\nAssistant: hello to you too\n\n" * 3)
    assert append_conversation(path, TALK) == "User/Assistant"
    assert "User: What is a loop?" in path.read_text()


def test_a_file_of_prose_is_refused(project: Project) -> None:
    path = project.data / "book.txt"
    path.write_text("Once upon a time there was a king.\n\nHe was old.\n" * 20)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="not conversations"):
        append_conversation(path, TALK)
    assert path.read_bytes() == before


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=60)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=3))
def test_any_conversation_is_saved_as_it_was_or_refused(tmp_path_factory: Any, talk: list[tuple[str, str]]) -> None:
    root = tmp_path_factory.mktemp("talk")
    turns = [Turn(role, text.strip()) for pair in talk for role, text in zip(("user", "assistant"), pair, strict=True)]  # type: ignore[arg-type]
    if not all(turn.text for turn in turns):
        return
    for name in ("a.txt", "a.jsonl"):
        path = root / name
        append_conversation(path, TALK)
        try:
            append_conversation(path, turns)
        except UsageError:
            assert read(path) == [TOLD]
        else:
            assert read(path) == [TOLD, [(turn.role, turn.text) for turn in turns]]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd.txt", "../out.txt", "a/../../out.txt", "x.py", "no\0.txt", "nofolder/x.txt"]
)
def test_files_elsewhere_are_refused(project: Project, name: str) -> None:
    with pytest.raises(UsageError):
        check_file(project, name)


def test_what_would_make_a_text_file_binary_goes_into_json_only(project: Project) -> None:
    turns = [Turn("user", "x"), Turn("assistant", "\x1b[31m" * 30)]
    with pytest.raises(UsageError, match="jsonl"):
        append_conversation(project.data / "a.txt", turns)
    append_conversation(project.data / "a.jsonl", turns)
    assert read(project.data / "a.jsonl") == [[("user", "x"), ("assistant", "\x1b[31m" * 30)]]


def test_a_link_out_of_the_project_is_refused(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    (project.data / "link.txt").symlink_to(tmp_path_factory.mktemp("elsewhere") / "x.txt")
    with pytest.raises(UsageError):
        check_file(project, "link.txt")


def test_a_long_file_is_appended_to_and_cut_back_when_the_disk_is_full(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_file, "_REWRITTEN_BYTES", 10)
    path = project.data / "long.txt"
    append_conversation(path, TALK)
    append_conversation(path, TALK)
    assert read(path) == [TOLD, TOLD]
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversation_file.os, "fsync", full)
    with pytest.raises(DiskFullError):
        append_conversation(path, TALK)
    assert path.read_bytes() == before
