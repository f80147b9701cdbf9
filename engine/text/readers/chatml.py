"""ChatML: `<|im_start|>role`, the text, `<|im_end|>`.

A document ends at `<|endoftext|>`, before a system message, and at a blank line before a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.text.conversation import Document
from engine.text.problem import Listener, Problem
from engine.text.readers.pairing import SHOWN, Spoken, conversation
from engine.text.readers.record import SPEAKERS
from engine.text.readers.speakers import TURN_LIMIT
from engine.text.source import TextSource

START, END, CLOSE = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
_OPENING = re.compile(r"[ \t]*<\|im_start\|>[ \t]*([A-Za-z_]+)[ \t]*(?:\n|\Z)?")


def read_chatml(source: TextSource, report: Listener) -> Iterator[Document]:
    """The conversations of a ChatML file."""
    return _ChatmlReader(source, report).documents()


class _ChatmlReader:
    def __init__(self, source: TextSource, report: Listener) -> None:
        self._source = source
        self._report = report
        self._spoken: list[Spoken] = []
        self._outside: tuple[int, str, int] | None = None

    def documents(self) -> Iterator[Document]:
        """The documents in order."""
        speaker, first_line, size, after_blank = "", 0, 0, False
        lines: list[str] = []
        for block in self._source.blocks():
            number = block.first_line - 1
            for line in block.lines:
                number += 1
                if START in line:
                    opening = _OPENING.match(line)
                    if opening is not None:
                        if speaker:
                            self._close(speaker, lines, first_line, number - 1)
                        self._flush_outside()
                        speaker, first_line, size, lines = opening[1].lower(), number, 0, []
                        if self._starts_document(speaker, after_blank):
                            yield from self._finish()
                        after_blank = False
                        line = line[opening.end() :]
                        if not line:
                            continue
                if speaker:
                    text, end, rest = line.partition(END)
                    if size > TURN_LIMIT:
                        self._leave_out(text, number)
                    else:
                        lines.append(text)
                        size += len(text) + 1
                    if not end:
                        continue
                    self._close(speaker, lines, first_line, number)
                    speaker, line = "", rest
                    if not rest:
                        continue
                if CLOSE in line:
                    yield from self._finish()
                    line = line.replace(CLOSE, "")
                after_blank = after_blank or not line.strip()
                self._leave_out(line, number)
        if speaker:
            self._close(speaker, lines, first_line, self._source.lines)
        yield from self._finish()
        self._flush_outside()

    def _starts_document(self, speaker: str, after_blank: bool) -> bool:
        role = SPEAKERS.get(speaker, "user")
        if not self._spoken or all(spoken.role == "system" for spoken in self._spoken):
            return False
        return role == "system" or (role == "user" and after_blank)

    def _close(self, speaker: str, lines: list[str], first_line: int, last_line: int) -> None:
        text = "\n".join(lines).strip("\n").rstrip()
        if speaker not in SPEAKERS:
            self._report(Problem("unknown_role", first_line, speaker[:SHOWN], last_line - first_line + 1))
            return
        self._spoken.append(Spoken(SPEAKERS[speaker], text, first_line, last_line))

    def _finish(self) -> Iterator[Document]:
        spoken, self._spoken = self._spoken, []
        if spoken:
            document = conversation(spoken, file=self._source.name, family="chatml", report=self._report, merging=True)
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
