"""Conversations that become training data: added to a file so that a reader gets back exactly what was said."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UsageError
from engine.files import fsync_folder, os_error, write_atomic
from engine.project import Project
from engine.text.conversation import Document, Turn
from engine.text.format_names import LABELS
from engine.text.sanitize import one_line
from engine.text.sniff import sniff
from engine.text.writers import written

FORMATS = {".txt": "qa", ".jsonl": "jsonl"}
"""What a new file is written in, by the end of its name."""
_APPENDABLE = ("qa", "chat", "jsonl")
_REWRITTEN_BYTES = 8 << 20
"""Files up to here are replaced as a whole; longer ones are appended to."""


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
"""What a model may say and a text file may not hold: a reader would take the file for a program."""


def check_file(project: Project, name: str) -> Path:
    """The file that `name` means: below data/, or below the project when it names a folder.

    Raises:
        UsageError: it leads out of the project, or is not of a kind that conversations are kept in.
    """
    given = Path(name.strip())
    path = project.root / given if len(given.parts) > 1 else project.data / given
    if not name.strip() or given.is_absolute() or "\0" in name or not _inside(path, project.root):
        raise UsageError("Name a file in the project.", fix="Such as conversations.txt (then it is in data/).")
    if path.suffix.lower() not in FORMATS:
        raise UsageError("The name must end in .txt or .jsonl.", fix="Such as conversations.txt.")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f'"{one_line(name, 60)}" cannot be a file there.', fix="Use a folder that there is.")
    return path


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def append_conversation(path: Path, turns: Sequence[Turn]) -> str:
    """Add a conversation to a file; returns the name of its format.

    A new .txt file is Q/A. A file that is there keeps its format. A crash leaves the file as it was or with the whole
    conversation, but for a very long one: there the last lines may be cut.

    Args:
        path: From `check_file`.
        turns: Ends with an answer.

    Raises:
        UsageError: the file's format cannot hold the conversation, or is not one of conversations.
        DataError: the file cannot be read as text.
        DiskFullError: no space; the file is as it was.
        ForgeError: it cannot be written.
    """
    kind = _format_of(path)
    text = written(Document(tuple(turns)), kind)
    if text is None or (kind != "jsonl" and _CONTROL.search(text)):
        raise UsageError(
            f"This conversation cannot be written as {LABELS[kind]} without changing it.",
            file=path,
            fix="Save it in a file whose name ends in .jsonl.",
        )
    try:
        size = path.stat().st_size if path.exists() else 0
        if size <= _REWRITTEN_BYTES:
            before = path.read_bytes() if size else b""
            write_atomic(path.resolve(), before + _gap(before[-2:], kind) + text.encode())
        else:
            _append(path, text, kind)
    except OSError as error:
        raise os_error(error, path) from error
    return LABELS[kind]


def _format_of(path: Path) -> str:
    size = path.stat().st_size if path.exists() else 0
    if not size or (size <= _REWRITTEN_BYTES and not path.read_bytes().strip()):
        return FORMATS[path.suffix.lower()]
    found = sniff(path)
    if found.format not in _APPENDABLE:
        raise UsageError(
            f"This file holds {LABELS[found.format]}, not conversations.", file=path, fix="Choose another file."
        )
    return found.format


def _gap(end: bytes, kind: str) -> bytes:
    """What must stand between the end of a file and a new conversation."""
    lines = b"" if not end or end.endswith(b"\n") else b"\n"
    return lines if kind == "jsonl" or not end or end == b"\n\n" else lines + b"\n"


def _append(path: Path, text: str, kind: str) -> None:
    with path.open("r+b") as stream:
        size = stream.seek(-2, os.SEEK_END) + 2
        end = stream.read(2)
        try:
            stream.write(_gap(end, kind) + text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(size)
            raise
    fsync_folder(path.parent)
