"""A conversation as it grows: questions, and below each the answer, or the answers of two models beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from forge_tui.access import app_of
from forge_tui.glyphs import Glyphs
from forge_tui.keys import bindings
from forge_tui.palette import Palette
from forge_tui.talk import Answer, Exchange
from forge_tui.text import one_line, sanitize
from forge_tui.wrapping import wrap_text

LABEL = 10
"""Cells of who says it."""


class Transcript(ScrollView, can_focus=True):
    """Follows the newest line, unless somebody has scrolled up."""

    BINDINGS = bindings("text")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._exchanges: Sequence[Exchange] = ()
        self._names: Sequence[str] = ()
        self._empty: Sequence[str] = ()
        self._drawn: dict[int, tuple[object, list[Text]]] = {}
        self._lines: list[Text] = []
        self.following = True
        """Whether the newest line stays in sight."""

    def show(self, exchanges: Sequence[Exchange], names: Sequence[str], empty: Sequence[str]) -> None:
        """Show a conversation.

        Args:
            exchanges: Oldest first; only what has changed since the last call is drawn anew.
            names: Of the model, or of both.
            empty: Lines that are shown before there is anything.
        """
        self._exchanges, self._names, self._empty = exchanges, names, empty
        self._fill()

    def _fill(self) -> None:
        width = max(20, self.size.width - 1)
        app = app_of(self)
        lines: list[Text] = []
        for index, exchange in enumerate(self._exchanges):
            state = (width, app.theme, tuple(self._names), exchange.question, _state(exchange))
            drawn = self._drawn.get(index)
            if drawn is None or drawn[0] != state:
                made = exchange_lines(exchange, self._names, width, app.palette, app.glyphs)
                self._drawn[index] = drawn = (state, made)
            lines += drawn[1]
        for index in [index for index in self._drawn if index >= len(self._exchanges)]:
            del self._drawn[index]
        if not lines:
            rows = [row for line in self._empty for row in wrap_text(sanitize(line), width - 2)]
            lines = [Text(end=""), *(Text(f" {row}", style=app.palette.quiet, end="") for row in rows)]
        self._lines = lines
        self.virtual_size = Size(max(0, self.size.width - 2), len(lines))  # narrower than with a scroll bar
        if self.following:
            self.scroll_to(y=len(lines), animate=False, immediate=True, force=True)
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Scrolling back ends following; coming to the end takes it up again."""
        super().watch_scroll_y(old, new)
        self.following = new >= self.max_scroll_y

    def on_resize(self) -> None:
        """Lines are wrapped for the width."""
        self._fill()

    def render_line(self, y: int) -> Strip:
        """A visible line."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        index = int(self.scroll_offset.y) + y
        if index >= len(self._lines):
            return Strip.blank(width, ground)
        segments = [piece for piece in self._lines[index].render(app_of(self).console) if piece.text != "\n"]
        return Strip(segments).apply_style(ground).adjust_cell_length(width, ground)


def _state(exchange: Exchange) -> tuple[object, ...]:
    return tuple((side, len(a.text), a.state, a.note) for side, a in sorted(exchange.answers.items()))


def exchange_lines(
    exchange: Exchange, names: Sequence[str], width: int, palette: Palette, glyphs: Glyphs
) -> list[Text]:  # fmt: skip
    """A question and its answers in lines of `width` cells."""
    lines = _said("you", exchange.question, width, palette.accent, palette.strong)
    if len(names) < 2:
        answer = exchange.answers.get(0)
        if answer is not None:
            body = answer_lines(answer, width - LABEL - 1, palette, glyphs)
            lines += _labelled(names[0] if names else "", body, palette)
        return [*lines, Text(end="")]
    each = max(8, (width - 4) // 2)
    columns = []
    for side in range(2):
        answer = exchange.answers.get(side)
        columns.append([] if answer is None else answer_lines(answer, each, palette, glyphs))
    for row in range(max(len(column) for column in columns)):
        line = Text(" ", end="", no_wrap=True)
        for column in columns:
            cell = column[row].copy() if row < len(column) else Text(end="")
            cell.truncate(each, pad=True)
            line.append_text(cell)
            line.append("  ")
        lines.append(line)
    return [*lines, Text(end="")]


def answer_lines(answer: Answer, width: int, palette: Palette, glyphs: Glyphs) -> list[Text]:
    """An answer, and what there is to say about it."""
    text = answer.text.strip("\n") if answer.over else answer.text.lstrip("\n")
    lines = [Text(row, style=palette.text, end="") for row in wrap_text(sanitize(text), width)] if text else []
    if answer.state == "waiting" or (answer.state == "speaking" and not lines):
        lines.append(Text(glyphs.ellipsis, style=palette.quiet, end=""))
    if answer.note:
        style = palette.warning if answer.state == "failed" else palette.quiet
        mark = f"{glyphs.bad} " if answer.state == "failed" else ""
        lines += [Text(row, style=style, end="") for row in wrap_text(sanitize(f"{mark}{answer.note}"), width)]
    return lines or [Text(end="")]


def _said(who: str, text: str, width: int, label: object, style: object) -> list[Text]:
    room = max(10, width - LABEL - 1)
    body = [Text(row, style=style, end="") for row in wrap_text(sanitize(text), room)]  # type: ignore[arg-type]
    return _labels(who, body, label)


def _labelled(name: str, body: list[Text], palette: Palette) -> list[Text]:
    return _labels(one_line(name, LABEL - 1), body, palette.validation)


def _labels(who: str, body: list[Text], style: object) -> list[Text]:
    lines = []
    for index, row in enumerate(body):
        label = f" {who:<{LABEL}}" if index == 0 else " " * (LABEL + 1)
        lines.append(Text.assemble((label, style), row, end=""))  # type: ignore[arg-type]
    return lines
