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

from engine.text.conversation import Document, Role, Turn
from engine.text.problem import Listener, Problem
from engine.text.readers.header import docstring_lines
from engine.text.readers.pairing import Spoken, conversation
from engine.text.readers.prose import SEPARATOR
from engine.text.source import TextSource

TURN_LIMIT = 2 << 20
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
_SIMPLE = {
    family: re.compile(
        rf"(?:(?<=\n\n)|\A)({asks}:[ \t]+([^\s\\][^\n]*)\n{says}:[ \t]+([^\s\\<][^\n<]*))(?=\n\n{asks}:[ \t])"
    )
    for family, asks, says in (("qa", "Q", "A"), ("chat", "User", "Assistant"))
}
"""The commonest conversation: one line asks, one answers, and another question follows after a blank line."""

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
        self._header = docstring_lines(source)
        self._role: Role | None = None
        self._open: list[str] = []  # lines of the turn being read; the first is what follows the marker
        self._first_line = 0
        self._grown = 0

    def documents(self) -> Iterator[Document]:
        """The file's conversations in order."""
        family = self._family
        simple, file = _SIMPLE.get(family), self._source.name
        for block in self._source.blocks():
            number, position = block.first_line, 0
            for match in simple.finditer(block.text) if simple is not None else ():
                start = match.start(1)
                if start - position == 1 and self._role is None:
                    number += 1  # the blank line after another of these
                elif start > position:
                    gap = block.text[position : start - 1].split("\n")
                    yield from self._lines(gap, number)
                    number += len(gap)
                if self._role is not None or self._spoken or self._family != family or number <= self._header:
                    if self._family != family or not self._at_boundary(number):
                        yield from self._lines(block.text[start : match.end()].split("\n"), number)
                        number, position = number + 2, match.end() + 1
                        continue
                    yield from self._close_and_finish()
                if self._outside is not None:
                    self._flush_outside()
                yield _simple(match, number, file, family)
                number, position = number + 2, match.end() + 1
            if position <= len(block.text):
                yield from self._lines(block.text[position:].split("\n") if position else block.lines, number)
            self._limit(len(block.text) - position)
        yield from self._close_and_finish()
        self._flush_outside()
        if self._comments:
            self._report(Problem("comment", self._comment_line, "", self._comments))

    def _lines(self, lines: list[str], first: int) -> Iterator[Document]:
        """Lines of the file from line `first` on; yields the documents that end in them."""
        match_marker, starts = MARKER.match, _STARTS
        for number, line in enumerate(lines, first):
            if line[:1] in starts:
                match = match_marker(line)
                if match is not None:
                    end = self._content_end()
                    boundary = self._role is None or end < len(self._open)
                    if number > self._header and self._counts(match[1], boundary, number, line):
                        if self._role is not None:
                            self._close(end)
                        self._role = ROLES[match[1]][1]
                        if self._starts_document(self._role, boundary):
                            yield from self._finish()
                        self._family = self._next_family
                        self._flush_outside()
                        self._open, self._first_line, self._grown = [line[match.end() :]], number, 0
                        continue
            if self._role is None:
                self._leave_out(line, number)
            else:
                self._open.append(line)

    def _content_end(self) -> int:
        lines = self._open
        if lines and (not lines[-1] or lines[-1][0] in "# <\t\r\x0b\x0c\xa0\u3000"):
            return content_end(lines)
        return len(lines)

    def _at_boundary(self, number: int) -> bool:
        """Whether a question on the next line starts a new document."""
        return number > self._header and (self._role is None or self._content_end() < len(self._open))

    def _close_and_finish(self) -> Iterator[Document]:
        if self._role is not None:
            self._close(self._content_end())
            self._role, self._open = None, []
        yield from self._finish()

    def _limit(self, size: int) -> None:
        """A turn that grows without end is closed; what follows is outside."""
        self._grown += size
        if self._role is not None and self._grown > TURN_LIMIT:
            self._close(self._content_end())
            self._role, self._open = None, []

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

    def _close(self, end: int) -> None:
        lines, role = self._open, self._role
        if role is None:
            return
        if end < len(lines) and (lines[-1] or len(lines) - end > 1):
            comments = sum([bool(line.strip()) for line in lines[end:]])
            if comments:
                self._comment_line = self._comment_line or self._first_line + end
                self._comments += comments
        first = 0
        while first < end and not lines[first].strip():
            first += 1
        text = lines[0].rstrip() if end == 1 else "\n".join(lines[first:end]).rstrip()
        if "\\" in text:
            text = ESCAPED.sub(r"\1", text)
        self._only_system = self._only_system and role == "system"
        self._spoken.append(Spoken(role, text, self._first_line, self._first_line + max(end, 1) - 1))

    def _leave_out(self, line: str, number: int) -> None:
        if number <= self._header or line[:1] == "#" or line == SEPARATOR:
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


def _simple(match: re.Match[str], number: int, file: str, family: str) -> Document:
    """One question and one answer, a line each, with a blank line before and after them."""
    turns = (
        Turn("user", match[2].rstrip(), number, number),
        Turn("assistant", match[3].rstrip(), number + 1, number + 1),
    )
    return Document(turns, file, number, number + 1, family)
