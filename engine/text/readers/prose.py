"""Plain text: documents are blocks between blank lines, chapters between headings, or the whole file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from engine.text.conversation import Document, Turn
from engine.text.problem import Listener, Problem
from engine.text.readers.header import docstring_lines
from engine.text.source import TextSource

BLOCK_LIMIT = 16 << 10
"""Characters after which a block without blank lines is cut at a line end, so that some of it can be held out."""

CHAPTER_LIMIT = 256 << 10
"""Characters of one chapter, or of one piece of a whole file."""

SEPARATOR = "<|endoftext|>"
"""A line with nothing else ends a document in every prose format."""

HEADING = re.compile(
    r"(?:#{1,6}[ \t]+\S"
    r"|(?:chapter|part|book|section|act|scene|letter|canto|psalm|kapitel|chapitre)[ \t]+(?:\d+|[ivxlcdm]+)\b"
    r"|[IVXLCDM]{1,7}\.?[ \t]*\Z|\d{1,3}\.?[ \t]*\Z)",
    re.IGNORECASE,
)
"""A line that opens a chapter, when the line before it is blank."""


def read_blocks(source: TextSource, report: Listener) -> Iterator[Document]:
    """Documents are runs of lines between blank lines; long ones are cut at line ends."""
    return _read(source, report, "text", BLOCK_LIMIT, ends_at_blank=True)


def read_chapters(source: TextSource, report: Listener) -> Iterator[Document]:
    """Documents start at headings after a blank line."""
    return _read(source, report, "text-headings", CHAPTER_LIMIT, starts_at=lambda line: bool(HEADING.match(line)))


def read_whole(source: TextSource, report: Listener) -> Iterator[Document]:
    """The file is one document (in pieces of CHAPTER_LIMIT characters when it is longer)."""
    return _read(source, report, "text-whole", CHAPTER_LIMIT)


def _read(
    source: TextSource,
    report: Listener,
    name: str,
    limit: int,
    *,
    ends_at_blank: bool = False,
    starts_at: Callable[[str], bool] | None = None,
) -> Iterator[Document]:
    header = docstring_lines(source)
    if header:
        report(Problem("comment", 1, "", header))
    lines: list[str] = []
    first_line = size = 0
    after_blank = True

    def finished() -> Iterator[Document]:
        text = "\n".join(lines).strip("\n").rstrip()
        lines.clear()
        if text:
            yield _document(source.name, name, text, first_line)

    for block in source.blocks():
        number = block.first_line - 1
        for line in block.lines:
            number += 1
            if number <= header:
                continue
            blank = not line.strip()
            opens = after_blank and starts_at is not None and starts_at(line)
            separates = line.startswith(SEPARATOR) and line.rstrip() == SEPARATOR
            if lines and (opens or separates or (blank and ends_at_blank) or size + len(line) > limit):
                yield from finished()
            after_blank = blank
            if separates or (blank and not lines):
                continue
            if not lines:
                first_line, size = number, 0
                if len(line) > limit:
                    *pieces, line = long_line_pieces(line, limit)
                    for piece in pieces:
                        yield _document(source.name, name, piece, number)
            lines.append(line)
            size += len(line) + 1
    yield from finished()


def long_line_pieces(line: str, limit: int) -> list[str]:
    """A long line in pieces of at most `limit` characters, cut at spaces where there are any."""
    pieces = []
    start = 0
    while len(line) - start > limit:
        space = line.rfind(" ", start + limit // 2, start + limit)
        end = start + limit if space < 0 else space
        pieces.append(line[start:end])
        start = end + (space >= 0)
    pieces.append(line[start:])
    return [piece.rstrip() for piece in pieces if piece.strip()]


def _document(file: str, name: str, text: str, first_line: int) -> Document:
    last_line = first_line + text.count("\n")
    return Document((Turn("text", text, first_line, last_line),), file, first_line, last_line, name)
