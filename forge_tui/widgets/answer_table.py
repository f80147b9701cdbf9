"""Answers of two models to the same prompts, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.palette import Palette
from forge_tui.text import one_line, plain
from forge_tui.widgets.fact_list import wrapped
from forge_tui.widgets.plain import Plain


@dataclass(slots=True)
class AnswerRow:
    """A prompt and what both made of it."""

    prompt: str
    answers: list[str]
    notes: list[str]
    """What is said below each answer, such as how it ended."""


class AnswerTable(VerticalScroll, can_focus=True):
    """Prompts below each other, two columns of answers."""

    BINDINGS = bindings("text")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._names: Sequence[str] = ()
        self._rows: Sequence[AnswerRow] = ()

    def compose(self) -> ComposeResult:
        """One text."""
        yield Plain(classes="fact-text")

    def show(self, names: Sequence[str], rows: Sequence[AnswerRow]) -> None:
        """Show these rows."""
        self._names, self._rows = names, rows
        self._fill()

    def on_resize(self) -> None:
        """Columns depend on the width."""
        self._fill()

    def _fill(self) -> None:
        width = max(24, self.size.width - 1)
        palette = app_of(self).palette
        self.query_one(Plain).show(table_text(self._names, self._rows, width, palette))


def table_text(names: Sequence[str], rows: Sequence[AnswerRow], width: int, palette: Palette) -> Text:
    """The whole table for a width."""
    each = max(10, (width - 4) // 2)
    lines: list[Text] = []
    if names:
        lines += _beside([[plain(one_line(name, each), palette.accent)] for name in names], each)
    for row in rows:
        lines.append(Text(end=""))
        lines += wrapped(plain(row.prompt, palette.strong), width - 1, indent=" ")
        columns = []
        for answer, note in zip(row.answers, row.notes, strict=True):
            column = wrapped(plain(answer.strip(), palette.text), each) if answer.strip() else []
            columns.append([*column, *wrapped(plain(note, palette.quiet), each)] if note else column)
        lines += _beside(columns, each)
    return Text("\n", end="").join(lines)


def _beside(columns: Sequence[Sequence[Text]], each: int) -> list[Text]:
    lines = []
    for index in range(max((len(column) for column in columns), default=0)):
        line = Text(" ", end="", no_wrap=True)
        for column in columns:
            cell = column[index].copy() if index < len(column) else Text(end="")
            cell.truncate(each, pad=True)
            line.append_text(cell)
            line.append("  ")
        lines.append(line)
    return lines
