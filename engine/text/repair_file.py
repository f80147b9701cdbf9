"""One data file on its way into its repaired copy."""

from __future__ import annotations

import codecs
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from engine.errors import DataError
from engine.files import os_error
from engine.text.conversation import Document
from engine.text.encoding import Looks, encoding_of, wide_codec
from engine.text.findings.mojibake import repaired as without_mojibake
from engine.text.findings.sketch import SeenTable
from engine.text.formats import read_documents, sniff
from engine.text.mend import cleaned, mended_tools
from engine.text.problem import Problem
from engine.text.readers.prose import BLOCK_LIMIT
from engine.text.readers.tools import from_old_dialect, is_old_dialect
from engine.text.repair import Repaired
from engine.text.sanitize import one_line
from engine.text.source import CHUNK, NotUtf8Error, TextSource, open_regular, open_text

REMEMBERED = 1 << 20
"""Documents that are remembered to find doubles."""

_LINE_FORMATS = ("qa", "chat", "router", "instruction", "chatml", "text", "jsonl")
_JSON_FORMATS = ("json", "jsonl")


class FileRepair:
    """One file on its way into its copy."""

    def __init__(self, number: int, names: list[str], copy: Path, log: IO[str], seen: SeenTable) -> None:
        self._number = number
        self._names = names
        self._log = log
        self._copy = copy
        self._seen = seen
        self._result = Repaired(names[number], str(copy))

    def run(self) -> Repaired:
        """Write the copy."""
        utf8: Path | None = None
        try:
            path = Path(self._result.file)
            codec = _codec(path)
            if codec is not None:
                utf8 = self._copy.with_name(f".{self._copy.name}.{uuid.uuid4().hex[:8]}.utf8")
                self._transcode(path, codec, utf8)
                path = utf8
            self._rewrite(path)
        except DataError as problem:
            self._result.copy, self._result.failed = "", str(problem)
            self._log.write(f"{one_line(self._result.file, 400)}: no copy: {one_line(str(problem), 400)}\n")
        finally:
            if utf8 is not None:
                utf8.unlink(missing_ok=True)
        return self._result

    def _transcode(self, path: Path, looks: Looks, target: Path) -> None:
        decoder = codecs.getincrementaldecoder(looks.codec)(errors="forge_damaged")
        handle, _, _ = open_regular(path)
        with handle, new_file(target) as out:
            while chunk := handle.read(CHUNK):
                out.write(decoder.decode(chunk))
            out.write(decoder.decode(b"", final=True))
        self._note("encoding", 1, looks.label, "UTF-8")

    def _rewrite(self, path: Path) -> None:
        kind = sniff(path).format
        doubles = self._doubles(path, kind)
        next_double = next(doubles, None)
        with open_text(path) as source, new_file(self._copy) as out:
            for block in source.blocks():
                text = self._characters(block.text, block.first_line)
                if kind not in _JSON_FORMATS:
                    text = self._tools(text, block.first_line)
                if next_double is not None and text.count("\n") == block.text.count("\n"):
                    lines = text.split("\n")
                    kept = []
                    for number, line in enumerate(lines, block.first_line):
                        while next_double is not None and number > next_double[1]:
                            next_double = next(doubles, None)
                        if next_double is None or number < next_double[0]:
                            kept.append(line)
                        elif number == next_double[0]:
                            self._note("duplicate", number, line, next_double[2])
                    text = "\n".join(kept)
                out.write(text if block.open else text + "\n")
            self._ends(source)

    def _ends(self, source: TextSource) -> None:
        if source.boms:
            self._note("bom", 1, f"{source.boms} byte order marks", "none", source.boms)
        if source.crlf or source.cr:
            count = source.crlf + source.cr
            self._note("line_ends", 1, f"{source.crlf:,} CRLF and {source.cr:,} CR", "newlines", count)

    def _characters(self, text: str, first_line: int) -> str:
        lines = text.split("\n")
        for index, line in enumerate(lines):
            if line.isascii() and line.isprintable():
                continue
            better = cleaned(line)
            if better != line:
                self._note("characters", first_line + index, line, better)
            restored = without_mojibake(better)
            if restored != better:
                self._note("mojibake", first_line + index, better, restored)
            lines[index] = restored
        return "\n".join(lines)

    def _tools(self, text: str, first_line: int) -> str:
        if is_old_dialect(text):
            before = text

            def note(offset: int, old: str, new: str) -> None:
                self._note("old_tools", first_line + before.count("\n", 0, offset), old, new)

            text = from_old_dialect(text, note)
        if "<tool_" in text:
            text = mended_tools(text, lambda at, old, new: self._note("tool_json", first_line + at, old, new))
        return text

    def _doubles(self, path: Path, kind: str) -> Iterator[tuple[int, int, str]]:
        """Spans of lines whose document was there before, in order; streams beside the rewriting."""
        if kind not in _LINE_FORMATS:
            return

        def ignore(problem: Problem) -> None:
            """The linter tells; a repair only removes what is certain."""

        last_end = 0
        stream = read_documents(path, kind, report=ignore)
        while batch := list(islice(stream, 1000)):
            keys = np.fromiter((_key(document) for document in batch), np.int64, len(batch)).view(np.uint64)
            lines = np.fromiter((document.first_line for document in batch), np.int64, len(batch))
            seen, _, first_lines, first_files = self._seen.first_seen(keys, keys, lines, self._number)
            for document, known, line, file in zip(batch, seen, first_lines, first_files, strict=True):
                short = not document.is_prose or document.text_bytes < BLOCK_LIMIT // 2
                if known and short and document.first_line > last_end:
                    where = f"{one_line(self._names[int(file)], 200)}:{int(line)}"
                    yield document.first_line, document.last_line, f"as {where}"
                last_end = max(last_end, document.last_line)

    def _note(self, kind: str, line: int, before: str, after: str, count: int = 1) -> None:
        self._result.changes[kind] += count
        first = next((index for index, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
        start = max(first - 20, 0) if kind != "duplicate" else 0
        # A duplicate's "after" is a place: whole, or it leads nowhere.
        shown_after = one_line(after, 300) if kind == "duplicate" else one_line(after[start:], 80)
        shown = f"{one_line(before[start:], 80)} → {shown_after}"
        self._log.write(f"{one_line(self._result.file, 400)}:{line}  {kind}  {shown}\n")


def _key(document: Document) -> int:
    """One number for all documents that are equal but for case and white space."""
    return hash(tuple((turn.role, " ".join(turn.text.lower().split())) for turn in document.turns))


def _damaged(problem: UnicodeError) -> tuple[str, int]:
    """Stray bytes in UTF-8 are most often single Windows-1252 characters; anything else becomes U+FFFD."""
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    bad = problem.object[problem.start : problem.end]
    if problem.encoding.lower().replace("_", "-") == "utf-8":
        return bad.decode("cp1252", "replace"), problem.end
    return "\ufffd", problem.end


codecs.register_error("forge_damaged", _damaged)


def _codec(path: Path) -> Looks | None:
    """The encoding that a file has to be read in, or None when it is UTF-8.

    Raises:
        DataError: it cannot be opened, or holds no text.
    """
    handle, _, _ = open_regular(path)
    with handle:
        head = handle.read(CHUNK)
    if wide_codec(head):
        return encoding_of(head)
    try:
        with open_text(path) as source:
            for _ in source.blocks():
                pass
    except NotUtf8Error:
        return encoding_of(_around_first_error(path))
    return None


def _around_first_error(path: Path) -> bytes:
    """Some bytes around the first one that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = b""
    handle, _, _ = open_regular(path)
    with handle:
        while chunk := handle.read(CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as problem:
                return (before[-65536:] + chunk)[: 65536 + problem.start + 131072][-262144:]
            before = chunk
    return before


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name only when it is complete."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n", errors="replace") as stream:
            yield stream
        temporary.replace(path)
    except OSError as problem:
        raise os_error(problem, path) from problem
    finally:
        temporary.unlink(missing_ok=True)
