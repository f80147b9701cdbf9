"""Work on data files in a process of its own: check, repair, convert. Nothing of it slows down who asked.

The request is one JSON line on standard input; progress and the result are JSON lines on standard output. The process
ends when its standard input closes: nobody waits for the result any more.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import ForgeError, UsageError
from engine.text.conversation import Document

PROGRESS_SECONDS = 0.2
NICE = 10
"""Behind everything that somebody waits for."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A file to check."""

    path: str
    format: str = "auto"
    columns: tuple[tuple[str, str], ...] = ()
    """Our field names and the file's own."""


class Check(msgspec.Struct, frozen=True, tag="check", kw_only=True):
    """Check files; the result is a Checked."""

    files: tuple[Asked, ...]
    sequence_length: int | None = None
    tokenizer: str | None = None
    """Folder of a model whose tokenizer counts."""


class Repair(msgspec.Struct, frozen=True, tag="repair", kw_only=True):
    """Write repaired copies; the result is a list of Repaired."""

    files: tuple[str, ...]
    folder: str


class Convert(msgspec.Struct, frozen=True, tag="convert", kw_only=True):
    """Write a file in another format; the result is a Converted."""

    file: str
    format: str
    target: Literal["jsonl", "qa", "chat", "text"]
    copy: str
    """The file to write."""
    columns: dict[str, str] = {}
    """Our field names to the file's own."""


Request = Check | Repair | Convert


def request_line(request: Request) -> bytes:
    """A request as it is sent. File names may hold bytes that are no UTF-8: JSON escapes them."""
    return json.dumps(msgspec.to_builtins(request)).encode() + b"\n"


def main() -> int:
    """Read one request, do it, print the result."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_leave_with_reader, daemon=True).start()
    os.nice(NICE)
    try:
        kinds: Any = Request
        request: Request = msgspec.convert(json.loads(line), kinds)
        _say(result=_do(request))
    except ForgeError as error:
        fields = {"text": error.text, "fix": error.fix, "file": error.file, "line": error.line, "code": error.code}
        _say(error=fields)
        return int(error.exit_code)
    return 0


def _leave_with_reader() -> None:
    while os.read(0, 4096):  # not the buffered stream: its lock would be held while the interpreter ends
        pass
    os._exit(0)


def _say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def _do(request: Request) -> Any:
    match request:
        case Check():
            return _check(request)
        case Repair():
            from engine.text.repair import repair

            return [_fields(done) for done in repair(list(request.files), Path(request.folder))]
        case Convert():
            return _convert(request)


def _check(request: Check) -> dict[str, Any]:
    from engine.text.lint import DataFile, Progress, lint
    from engine.text.tokenizer import suggest_vocabulary

    said = 0.0

    def progress(now: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= PROGRESS_SECONDS:
            said = time.monotonic()
            _say(progress=[now.bytes_done, now.bytes_total, now.seconds_left])

    counter = None if request.tokenizer is None else _Counter(Path(request.tokenizer))
    files = [DataFile(file.path, file.format, dict(file.columns)) for file in request.files]
    report = lint(files, sequence_length=request.sequence_length, tokenizer=counter, progress=progress)
    size = sum(Path(file.path).stat().st_size for file in files if Path(file.path).exists())
    vocabulary, why = (counter.vocabulary, "the model's own") if counter else suggest_vocabulary(max(size, 1))
    return {"report": replace(report, preview=()).to_json(), "vocabulary": vocabulary, "why_vocabulary": why}


class _Counter:
    """Counts tokens with a model's tokenizer."""

    def __init__(self, folder: Path) -> None:
        from engine.text.tokenizer import Tokenizer

        self._tokenizer = Tokenizer.load(folder)

    @property
    def vocabulary(self) -> int:
        return self._tokenizer.vocabulary

    def count(self, documents: Sequence[Document]) -> list[int]:
        return [len(encoded.ids) for encoded in self._tokenizer.encode_documents(documents)]


def _convert(request: Convert) -> dict[str, Any]:
    from engine.text.conversion import check_target, convert

    check_target(request.target)
    copy = Path(request.copy)
    if copy.exists():
        raise UsageError("There is such a file already.", file=copy, fix="Choose another name.")
    temporary = copy.with_name(f".{copy.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n", errors="replace") as stream:
            done = convert(request.file, request.target, stream.write, source=request.format, columns=request.columns)
        temporary.replace(copy)
    except OSError as problem:
        from engine.files import os_error

        raise os_error(problem, copy) from problem
    finally:
        temporary.unlink(missing_ok=True)
    return _fields(done)


def _fields(result: Any) -> dict[str, Any]:
    """A dataclass as JSON values; `asdict` would take a Counter apart."""
    found: dict[str, Any] = msgspec.to_builtins(result)
    return found


if __name__ == "__main__":
    sys.exit(main())
