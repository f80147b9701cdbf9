"""Names and values below each other, values wrapped under themselves: what there is to know about one thing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.palette import Palette
from forge_tui.text import plain
from forge_tui.widgets.plain import Plain

Fact = tuple[str, str | Text]
"""A name (empty for a line of its own) and a value; strings are sanitised."""

_console = Console(width=80, file=None, force_terminal=False, color_system=None)


class FactList(VerticalScroll, can_focus=True):
    """A scrolling list of facts."""

    BINDINGS = bindings("text")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._facts: Sequence[Fact] = ()
        self.lines = 0
        """Lines that it takes to show everything at the present width."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Plain(classes="fact-text")

    def show(self, facts: Sequence[Fact], *, keep: bool = False) -> None:
        """Show these facts; from the top, unless the place is to be kept."""
        self._facts = facts
        self._fill()
        if not keep:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Values are wrapped for the width."""
        self._fill()

    def _fill(self) -> None:
        width = max(20, self.size.width - 1)
        text = facts_text(self._facts, width, app_of(self).palette)
        self.lines = text.plain.count("\n") + 1 if text.plain else 0
        self.query_one(Plain).show(text)


def facts_text(facts: Sequence[Fact], width: int, palette: Palette) -> Text:
    """The facts in lines of at most `width` cells."""
    room = max((len(name) for name, value in facts if len(value)), default=0) + 3
    lines: list[Text] = []
    for name, value in facts:
        shown = plain(value, palette.text) if isinstance(value, str) else value
        if not name:
            lines += wrapped(shown, width - 1, indent=" ")
            continue
        pieces = wrapped(shown, max(10, width - room))
        for index, piece in enumerate(pieces or [Text(end="")]):
            label = f" {name:<{room - 1}}" if index == 0 else " " * room
            lines.append(Text.assemble((label, palette.quiet), piece, end=""))
    return Text("\n", end="").join(lines)


def wrapped(text: Text, width: int, *, indent: str = "") -> list[Text]:
    """The lines of a text, each at most `width` cells and without its newline."""
    copy = text.copy()
    copy.no_wrap = False
    found = []
    for line in copy.wrap(_console, max(1, width - len(indent)), overflow="fold"):
        line.end = ""
        found.append(Text.assemble(indent, line, end="") if indent else line)
    return found
