"""Conversations whose turns start with a marker: `Q:`/`A:`, `User:`/`Assistant:`, `INPUT:`/`TASK:`.

A marker counts only at the start of a line, so `Camera: on` or `see Q: below` is text. A blank line and a question
start a new conversation; a question right after an answer goes on with the same one. Blank lines inside an answer
belong to it when text follows. `#` lines at the top and between conversations, and banners (`# ====`), are comments;
any other `#` line inside an answer is text. A line `<|endoftext|>` ends a conversation. A docstring at the top is a
header. A backslash before a marker makes it text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.text.conversation import Document, Role
from engine.text.problem import Listener, Problem
from engine.text.readers.header import docstring_lines
from engine.text.readers.pairing import Spoken, conversation
from engine.text.readers.prose import SEPARATOR
from engine.text.source import TextSource

TURN_LIMIT = 8 << 20
"""Characters of one turn; what follows is reported as outside: memory stays bounded without further markers."""

ROLES: dict[str, tuple[str, Role]] = {
    **dict.fromkeys(("Q", "Question", "QUESTION"), ("qa", "user")),
    **dict.fromkeys(("A", "Answer", "ANSWER"), ("qa", "assistant")),
    **dict.fromkeys(("User", "USER", "Human", "HUMAN"), ("chat", "user")),
    **dict.fromkeys(("Assistant", "ASSISTANT", "AI", "Bot", "BOT"), ("chat", "assistant")),
    **dict.fromkeys(("System", "SYSTEM"), ("chat", "system")),
    "INPUT": ("router", "user"),
    "TASK": ("router", "assistant"),
}
"""Marker word: its family and who speaks."""

MARKER = re.compile(rf"[ \t]*({'|'.join(sorted(ROLES, key=len, reverse=True))})[:：][ \t]*")
ESCAPED = re.compile(rf"(?m)^([ \t]*)\\(?=\\*(?:{MARKER.pattern}|#))")
"""A backslash that makes a marker or a comment sign plain text."""

_STARTS = frozenset({word[0] for word in ROLES} | {" ", "\t"})
_BANNER = re.compile(r"#[ \t]*[=\-#*~_+]{3,}")


def read_speakers(source: TextSource, report: Listener, family: str) -> Iterator[Document]:
    """The conversations of a file whose markers are those of `family` (`qa`, `chat` or `router`)."""
    return _SpeakerReader(source, report, family).documents()


def content_end(lines: list[str]) -> int:
    """How many of a turn's lines are its text: trailing blank lines and comments are not.

    A `#` block right under the text belongs to it, unless one of its lines is a banner.
    """
    end = len(lines)
    while end > 1 and (lines[end - 1][:1] == "#" or not lines[end - 1].strip() or lines[end - 1] == SEPARATOR):
        end -= 1
    attached = end
    while attached < len(lines) and lines[attached][:1] == "#":
        attached += 1
    return end if any(_BANNER.match(line) for line in lines[end:attached]) else attached


class _SpeakerReader:
    def __init__(self, source: TextSource, report: Listener, family: str) -> None:
        self._source = source
        self._report = report
        self._family = self._next_family = family
        self._spoken: list[Spoken] = []
        self._only_system = True
        self._outside: tuple[int, str] | None = None
        self._outside_lines = 0
        self._comments = 0
        self._comment_line = 0

    def documents(self) -> Iterator[Document]:
        """The file's conversations in order."""
        starts, match_marker = _STARTS, MARKER.match
        header = docstring_lines(self._source)
        role: Role | None = None
        lines: list[str] = []  # of the turn being read; the first is what follows the marker
        first_line = grown = 0
        for block in self._source.blocks():
            number = block.first_line - 1
            for line in block.lines:
                number += 1
                if line[:1] in starts:
                    match = match_marker(line)
                    if match is not None:
                        end = content_end(lines) if lines and (not lines[-1] or lines[-1][0] in "# <\t") else len(lines)
                        boundary = role is None or end < len(lines)
                        if number > header and self._counts(match[1], boundary, number, line):
                            if role is not None:
                                self._close(role, lines, first_line, end)
                            role = ROLES[match[1]][1]
                            if self._starts_document(role, boundary):
                                yield from self._finish()
                            self._family = self._next_family
                            self._flush_outside()
                            lines, first_line, grown = [line[match.end() :]], number, 0
                            continue
                if role is None:
                    self._leave_out(line, number, header)
                else:
                    lines.append(line)
            grown += len(block.text)
            if role is not None and grown > TURN_LIMIT:
                self._close(role, lines, first_line, content_end(lines))
                role, lines = None, []
        if role is not None:
            self._close(role, lines, first_line, content_end(lines))
        yield from self._finish()
        self._flush_outside()
        if self._comments:
            self._report(Problem("comment", self._comment_line, "", self._comments))

    def _counts(self, word: str, boundary: bool, number: int, line: str) -> bool:
        """Whether this is a marker in this place; another family's question at a boundary changes the family."""
        family, role = ROLES[word]
        if family == self._family:
            return True
        if not boundary or role == "assistant":
            return False
        if role == "user":
            if self._spoken:
                self._report(Problem("mixed_formats", number, line))
            self._next_family = family
        return True

    def _starts_document(self, role: Role, boundary: bool) -> bool:
        if role == "assistant" or not self._spoken:
            return False
        return not self._only_system and (boundary or role == "system")

    def _close(self, role: Role, lines: list[str], first_line: int, end: int) -> None:
        if len(lines) - end > 1:
            comments = sum([bool(line.strip()) for line in lines[end:]])
            if comments:
                self._comment_line = self._comment_line or first_line + end
                self._comments += comments
        first = 0
        while first < end and not lines[first].strip():
            first += 1
        text = lines[0].rstrip() if end == 1 else "\n".join(lines[first:end]).rstrip()
        if "\\" in text:
            text = ESCAPED.sub(r"\1", text)
        self._only_system = self._only_system and role == "system"
        self._spoken.append(Spoken(role, text, first_line, first_line + max(end, 1) - 1))

    def _leave_out(self, line: str, number: int, header: int) -> None:
        if number <= header or line[:1] == "#" or line == SEPARATOR:
            self._comment_line = self._comment_line or number
            self._comments += bool(line.strip())
        elif line.strip():
            if self._outside is None:
                self._outside = (number, line[:200])
            self._outside_lines += 1

    def _flush_outside(self) -> None:
        if self._outside is not None:
            self._report(Problem("text_outside", *self._outside, self._outside_lines))
            self._outside, self._outside_lines = None, 0

    def _finish(self) -> Iterator[Document]:
        spoken, self._spoken = self._spoken, []
        self._only_system = True
        if spoken:
            document = conversation(
                spoken,
                file=self._source.name,
                family=self._family,
                report=self._report,
                merging=self._family == "chat",
            )
            if document is not None:
                yield document
