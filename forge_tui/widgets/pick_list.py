"""A list to pick from: one row an entry, a cursor that a monochrome terminal shows too, only visible rows drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from forge_tui.access import app_of
from forge_tui.keys import bindings


@dataclass(frozen=True, slots=True)
class Row:
    """An entry."""

    key: str
    """Tells it from the others, also when the rows are made anew."""
    text: Callable[[int], Text]
    """Draws it for a width. The Text must be sanitised (`forge_tui.text`)."""
    search: str = ""
    """What the filter looks at."""


class PickList(ScrollView, can_focus=True):
    """Rows with a cursor. Give it rows with `show`; it says what is marked and what is picked."""

    BINDINGS = bindings("list")

    class Marked(Message):
        """The cursor is on another row."""

        def __init__(self, owner: PickList, key: str) -> None:
            super().__init__()
            self.owner = owner
            self.key = key

        @property
        def control(self) -> PickList:
            """The list."""
            return self.owner

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._all: Sequence[Row] = ()
        self._rows: list[Row] = []
        self._pattern = ""
        self._cursor = 0

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on the entry where it was."""
        marked = self.marked
        self._all = rows
        self._select(marked)

    def filter(self, pattern: str) -> None:
        """Show only rows that contain a text."""
        self._pattern = pattern.lower()
        self._select(self.marked)

    def _select(self, marked: str | None) -> None:
        self._rows = [row for row in self._all if self._pattern in row.search.lower()]
        keys = [row.key for row in self._rows]
        self._cursor = keys.index(marked) if marked in keys else min(self._cursor, max(0, len(keys) - 1))
        self.virtual_size = Size(self.size.width, len(self._rows))
        self.refresh()
        if self.marked != marked and self.marked is not None:
            self.post_message(self.Marked(self, self.marked))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def marked(self) -> str | None:
        """The key of the row under the cursor."""
        return self._rows[self._cursor].key if self._rows else None

    def mark(self, key: str) -> None:
        """Put the cursor on an entry, if it is shown."""
        for index, row in enumerate(self._rows):
            if row.key == key:
                self._move_to(index)

    def _move_to(self, index: int) -> None:
        before = self._cursor
        self._cursor = min(max(0, len(self._rows) - 1), max(0, index))
        top, page = int(self.scroll_y), max(1, self.size.height)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False, immediate=True)
        self.refresh()
        if self._cursor != before and self.marked is not None:
            self.post_message(self.Marked(self, self.marked))

    def action_cursor_down(self) -> None:
        """Next."""
        self._move_to(self._cursor + 1)

    def action_cursor_up(self) -> None:
        """Previous."""
        self._move_to(self._cursor - 1)

    def action_page_down(self) -> None:
        """A page on."""
        self._move_to(self._cursor + max(1, self.size.height - 1))

    def action_page_up(self) -> None:
        """A page back."""
        self._move_to(self._cursor - max(1, self.size.height - 1))

    def action_first(self) -> None:
        """First."""
        self._move_to(0)

    def action_last(self) -> None:
        """Last."""
        self._move_to(len(self._rows) - 1)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor under the pointer."""
        self._move_to(int(self.scroll_y) + event.y)

    def on_resize(self) -> None:
        """Rows are drawn for the width."""
        self.virtual_size = Size(self.size.width, len(self._rows))
        self._move_to(self._cursor)

    def on_focus(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A visible row."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        index = int(self.scroll_offset.y) + y
        if index >= len(self._rows):
            return Strip.blank(width, ground)
        app = app_of(self)
        here = index == self._cursor
        line = Text(f"{app.glyphs.cursor} " if here else "  ", style=app.palette.mark if here else "", end="")
        line.append_text(self._rows[index].text(max(0, width - 2)))
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis", pad=True)
        if here and self.has_focus:
            line.stylize("bold")
        segments = line.render(app.console)
        strip = Strip([segment for segment in segments if segment.text != "\n"]).apply_style(ground)
        return strip.adjust_cell_length(width, ground)
