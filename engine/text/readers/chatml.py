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

CLOSE = "<|endoftext|>"
_TOKEN = re.compile(
    r"(?:(?<=\|>)|^)[ \t]{0,8}<\|im_start\|>[ \t]*(?P<speaker>[A-Za-z_]+)[ \t]*|(?P<end><\|im_end\|>)|<\|endoftext\|>"
)


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
                if "<|" in line:
                    yield from self._line_with_tokens(line, number)
                elif self._speaker:
                    self._speak(line, number)
                else:
                    self._after_blank = self._after_blank or not line.strip()
                    self._leave_out(line, number)
        if self._speaker:
            self._close(self._source.lines)
        yield from self._finish()
        self._flush_outside()

    def _line_with_tokens(self, line: str, number: int) -> Iterator[Document]:
        position = 0
        for token in _TOKEN.finditer(line):
            before = line[position : token.start()]
            inside = bool(self._speaker)
            if inside and token[0] == CLOSE:
                continue  # text, unless a message has ended
            if inside and not token["end"] and before.strip():
                continue  # a message opens at the start of a line or after the end of another
            self._text(before, number, ends=bool(token["end"]))
            position = token.end()
            if token["end"]:
                if inside:
                    self._close(number)
            elif token["speaker"] is not None:
                yield from self._open(token["speaker"].lower(), number)
            else:
                yield from self._finish()
        rest = line[position:]
        if self._speaker and (rest or not position):
            self._speak(rest, number)
        elif not self._speaker:
            self._leave_out(rest, number)

    def _text(self, text: str, number: int, *, ends: bool) -> None:
        if self._speaker and (text or ends):
            self._speak(text, number)
        elif not self._speaker:
            self._leave_out(text, number)

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

    def _speak(self, text: str, number: int) -> None:
        """Some text of the open message."""
        if self._size > TURN_LIMIT:
            self._leave_out(text, number)
        else:
            self._lines.append(text)
            self._size += len(text) + 1

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
