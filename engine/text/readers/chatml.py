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
_OPENING = re.compile(r"[ \t]*<\|im_start\|>[ \t]*([A-Za-z_]+)[ \t]*")


def read_chatml(source: TextSource, report: Listener) -> Iterator[Document]:
    """The conversations of a ChatML file."""
    return _ChatmlReader(source, report).documents()


class _ChatmlReader:
    def __init__(self, source: TextSource, report: Listener) -> None:
        self._source = source
        self._report = report
        self._spoken: list[Spoken] = []
        self._outside: tuple[int, str, int] | None = None
        self._speaker = ""
        self._first_line = 0
        self._lines: list[str] = []
        self._size = 0
        self._after_blank = False

    def documents(self) -> Iterator[Document]:
        """The documents in order."""
        for block in self._source.blocks():
            number = block.first_line - 1
            for line in block.lines:
                number += 1
                rest: str | None = line
                while rest is not None:
                    opening = _OPENING.match(rest) if START in rest else None
                    if opening is not None:
                        yield from self._open(opening[1].lower(), number)
                        rest = rest[opening.end() :] or None
                    elif self._speaker:
                        rest = self._speak(rest, number)
                    else:
                        if CLOSE in rest:
                            yield from self._finish()
                            rest = rest.replace(CLOSE, "")
                        self._after_blank = self._after_blank or not line.strip()
                        self._leave_out(rest, number)
                        rest = None
        if self._speaker:
            self._close(self._source.lines)
        yield from self._finish()
        self._flush_outside()

    def _open(self, speaker: str, number: int) -> Iterator[Document]:
        """A message begins; it may be the first of a new document."""
        if self._speaker:
            self._close(number - 1)
        self._flush_outside()
        role = SPEAKERS.get(speaker, "user")
        if any(spoken.role != "system" for spoken in self._spoken) and (
            role == "system" or (role == "user" and self._after_blank)
        ):
            yield from self._finish()
        self._speaker, self._first_line, self._lines, self._size, self._after_blank = speaker, number, [], 0, False

    def _speak(self, line: str, number: int) -> str | None:
        """A line of the open message; what follows the message's end on it, if anything."""
        text, end, rest = line.partition(END)
        if self._size > TURN_LIMIT:
            self._leave_out(text, number)
        else:
            self._lines.append(text)
            self._size += len(text) + 1
        if end:
            self._close(number)
        return rest or None

    def _close(self, last_line: int) -> None:
        speaker, first_line, self._speaker = self._speaker, self._first_line, ""
        last_line = max(last_line, first_line)
        text = "\n".join(self._lines).strip("\n").rstrip()
        if speaker in SPEAKERS:
            self._spoken.append(Spoken(SPEAKERS[speaker], text, first_line, last_line))
        else:
            self._report(Problem("unknown_role", first_line, speaker[:SHOWN], last_line - first_line + 1))

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
