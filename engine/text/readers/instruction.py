"""`### Instruction` / `### Input` / `### Response` blocks, as Alpaca and its children write them.

The text of a block starts on the marker's line or on the next one. A blank line and an instruction start a new
document; an instruction right after a response goes on with the same one. The usual preamble ("Below is an
instruction that ...") is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.text.conversation import Document, Role
from engine.text.problem import Listener, Problem
from engine.text.readers.pairing import SHOWN, Spoken, conversation
from engine.text.readers.speakers import TURN_LIMIT
from engine.text.source import TextSource

_MARKER = re.compile(r"###[ \t]*(instruction|input|context|response|output|answer|system)[ \t]*:?[ \t]*", re.IGNORECASE)
_ROLES: dict[str, Role] = {
    "instruction": "user",
    "input": "user",
    "context": "user",
    "response": "assistant",
    "output": "assistant",
    "answer": "assistant",
    "system": "system",
}
_PREAMBLE = "Below is an instruction that describes a task"
_END = re.compile(r"(?:<\|endoftext\|>|</s>|<\|end\|>)\s*\Z")
ESCAPED = re.compile(r"(?im)^\\(?=\\*###[ \t]*(?:instruction|input|context|response|output|answer|system)\b)")
"""A backslash that makes a marker plain text."""


def read_instructions(source: TextSource, report: Listener) -> Iterator[Document]:
    """The instruction blocks of a file."""
    return _InstructionReader(source, report).documents()


class _InstructionReader:
    def __init__(self, source: TextSource, report: Listener) -> None:
        self._source = source
        self._report = report
        self._spoken: list[Spoken] = []
        self._skipped = 0
        self._outside: tuple[int, str, int] | None = None

    def documents(self) -> Iterator[Document]:
        """The documents in order."""
        role: Role | None = None
        word = ""
        lines: list[str] = []
        first_line = size = 0
        for block in self._source.blocks():
            number = block.first_line - 1
            for line in block.lines:
                number += 1
                match = _MARKER.match(line) if line[:3] == "###" else None
                preamble = line.startswith(_PREAMBLE)
                if match is None and not preamble and not (line[:1] == "<" and _END.match(line)):
                    if role is None or size > TURN_LIMIT:
                        self._leave_out(line, number)
                    else:
                        lines.append(line)
                        size += len(line) + 1
                    continue
                after_blank = not (lines and lines[-1].strip())
                if role is not None:
                    self._close(role, word, lines, first_line)
                if match is None:
                    self._skipped += preamble
                    yield from self._finish()
                    role, lines = None, []
                    continue
                self._flush_outside()
                word = match[1].lower()
                new = _ROLES[word]
                if self._spoken and word in ("instruction", "system") and self._ends(new, after_blank):
                    yield from self._finish()
                role, lines, first_line, size = new, [line[match.end() :]], number, 0
        if role is not None:
            self._close(role, word, lines, first_line)
        yield from self._finish()
        self._flush_outside()
        if self._skipped:
            self._report(Problem("comment", 1, _PREAMBLE, self._skipped))

    def _ends(self, role: Role, after_blank: bool) -> bool:
        if all(spoken.role == "system" for spoken in self._spoken):
            return False
        return after_blank or role == "system"

    def _close(self, role: Role, word: str, lines: list[str], first_line: int) -> None:
        first, end = 0, len(lines)
        while first < end and not lines[first].strip():
            first += 1
        while end > first and not lines[end - 1].strip():
            end -= 1
        text = ESCAPED.sub("", "\n".join(lines[first:end])).rstrip()
        last_line = first_line + max(end, 1) - 1
        if word in ("input", "context") and self._spoken and self._spoken[-1].role == "user":
            before = self._spoken.pop()
            text, first_line = f"{before.text}\n\n{text}".strip(), before.first_line
        self._spoken.append(Spoken(role, text, first_line, last_line))

    def _finish(self) -> Iterator[Document]:
        spoken, self._spoken = self._spoken, []
        if spoken:
            document = conversation(
                spoken, file=self._source.name, family="instruction", report=self._report, merging=False
            )
            if document is not None:
                yield document

    def _leave_out(self, line: str, number: int) -> None:
        if line.strip():
            start, text, count = self._outside or (number, line[:SHOWN], 0)
            self._outside = (start, text, count + 1)

    def _flush_outside(self) -> None:
        if self._outside is not None:
            self._report(Problem("text_outside", *self._outside))
            self._outside = None
