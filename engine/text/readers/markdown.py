"""Markdown: a document is a section under a first or second level heading; code fences hide what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.text.conversation import Document, Turn
from engine.text.problem import Listener, Problem
from engine.text.readers.prose import CHAPTER_LIMIT, long_line_pieces
from engine.text.source import TextSource

_HEADING = re.compile(r"#{1,6}(?:[ \t]|\Z)")
_DIVIDES = re.compile(r"#{1,2}(?:[ \t]|\Z)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*\Z")


def read_markdown(source: TextSource, report: Listener) -> Iterator[Document]:
    """The sections of a Markdown file as prose; front matter between `---` lines at the top is skipped."""
    front = _front_matter(source)
    if front:
        report(Problem("comment", 1, "---", front))
    lines: list[str] = []
    first_line = size = 0
    fence = ""
    content = False  # whether the section holds more than headings

    def finished() -> Iterator[Document]:
        text = "\n".join(lines).strip("\n").rstrip()
        lines.clear()
        if text:
            last = first_line + text.count("\n")
            yield Document((Turn("text", text, first_line, last),), source.name, first_line, last, "markdown")

    for block in source.blocks():
        number = block.first_line - 1
        for line in block.lines:
            number += 1
            if number <= front:
                continue
            fence = _fence(line, fence)
            heading = not fence and line[:1] == "#" and bool(_HEADING.match(line))
            if lines and ((heading and content and _DIVIDES.match(line)) or size + len(line) > CHAPTER_LIMIT):
                yield from finished()
                content = False
            elif not fence and len(lines) > 2 and line[:1] in "= " and _UNDERLINE.match(line) and _is_title(lines):
                title = lines.pop()
                yield from finished()
                lines.append(title)
                first_line, size, content, heading = number - 1, len(title), False, True
            if not lines:
                if not line.strip():
                    continue
                first_line, size = number, 0
                *pieces, line = long_line_pieces(line, CHAPTER_LIMIT)
                for piece in pieces:
                    turn = Turn("text", piece, number, number)
                    yield Document((turn,), source.name, number, number, "markdown")
            lines.append(line)
            size += len(line) + 1
            content = content or (not heading and bool(line.strip()))
    yield from finished()


def _is_title(lines: list[str]) -> bool:
    """Whether the last line stands alone, with a blank one above it."""
    return bool(lines[-1].strip()) and not lines[-2].strip()


def _fence(line: str, fence: str) -> str:
    """The open code fence after this line, or an empty string."""
    match = _FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match[1]
    closes = match[1][0] == fence[0] and len(match[1]) >= len(fence) and not line.strip().strip(fence[0])
    return "" if closes else fence


def _front_matter(source: TextSource) -> int:
    head = source.head()[:65536].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if not head.startswith(b"---\n"):
        return 0
    end = head.find(b"\n---\n", 3)
    return head.count(b"\n", 0, end) + 2 if end > 0 else 0
