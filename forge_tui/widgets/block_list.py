"""A list whose entries have several lines, under headings that the cursor passes over."""

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
class Block:
    """An entry or a heading."""

    key: str
    """Tells it from the others, also when they are made anew."""
    lines: Callable[[int], list[Text]]
    """Draws it for a width. The Texts must be sanitised (`forge_tui.text`)."""
    heading: bool = False
    """Whether the cursor passes over it."""
    search: str = ""
    """What the filter looks at."""


class BlockList(ScrollView, can_focus=True):
    """Blocks with a cursor. Give it blocks with `show`; it says which one is marked."""

    BINDINGS = bindings("list")

    class Marked(Message):
        """The cursor is on another block."""

        def __init__(self, owner: BlockList, key: str) -> None:
            super().__init__()
            self.owner = owner
            self.key = key

        @property
        def control(self) -> BlockList:
            """The list."""
            return self.owner

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._all: Sequence[Block] = ()
        self._blocks: list[Block] = []
        self._pattern = ""
        self._cursor = -1
        self._lines: list[tuple[int, int]] = []
        self._drawn: dict[int, list[Text]] = {}

    def show(self, blocks: Sequence[Block]) -> None:
        """Show these blocks; the cursor stays on the entry where it was."""
        self._all = blocks
        self._select()

    def filter(self, pattern: str) -> None:
        """Show only entries that contain a text, and the headings above them."""
        self._pattern = pattern.lower()
        self._select()

    def _select(self) -> None:
        marked = self.marked
        kept: list[Block] = []
        for block in self._all:
            if block.heading or self._pattern in block.search.lower():
                if block.heading and self._pattern and kept and kept[-1].heading:
                    kept.pop()
                kept.append(block)
        if self._pattern and kept and kept[-1].heading:
            kept.pop()
        self._blocks = kept
        places = [index for index, block in enumerate(kept) if not block.heading]
        keys = {block.key: index for index, block in enumerate(kept)}
        if marked is not None and marked in keys:
            self._cursor = keys[marked]
        else:
            self._cursor = min(places, key=lambda index: abs(index - max(0, self._cursor)), default=-1)
        self._measure()
        if self.marked is not None and self.marked != marked:
            self.post_message(self.Marked(self, self.marked))

    def _measure(self) -> None:
        width = max(1, self.scrollable_content_region.width - 2)
        self._drawn = {index: block.lines(width) for index, block in enumerate(self._blocks)}
        self._lines = [(index, line) for index, lines in self._drawn.items() for line in range(len(lines))]
        self.virtual_size = Size(self.size.width, len(self._lines))
        self._reveal()
        self.refresh()

    @property
    def marked(self) -> str | None:
        """The key of the block under the cursor."""
        return self._blocks[self._cursor].key if 0 <= self._cursor < len(self._blocks) else None

    @property
    def keys(self) -> list[str]:
        """Keys of the entries that are shown, in order."""
        return [block.key for block in self._blocks if not block.heading]

    def mark(self, key: str) -> None:
        """Put the cursor on an entry, if it is shown."""
        for index, block in enumerate(self._blocks):
            if block.key == key and not block.heading:
                self._move_to(index)

    def _move_to(self, index: int) -> None:
        before, self._cursor = self._cursor, index
        self._reveal()
        self.refresh()
        if index != before and self.marked is not None:
            self.post_message(self.Marked(self, self.marked))

    def _reveal(self) -> None:
        own = [row for row, (index, _) in enumerate(self._lines) if index == self._cursor]
        if not own:
            return
        first, last = own[0], own[-1]
        while first > 0 and self._blocks[self._lines[first - 1][0]].heading:
            first -= 1  # a heading is seen together with its first entry
        top, page = int(self.scroll_y), max(1, self.size.height)
        if first < top or last - first >= page:
            self.scroll_to(y=first, animate=False, immediate=True)
        elif last >= top + page:
            self.scroll_to(y=last - page + 1, animate=False, immediate=True)

    def _step(self, by: int) -> bool:
        index = self._cursor + by
        while 0 <= index < len(self._blocks):
            if not self._blocks[index].heading:
                self._move_to(index)
                return True
            index += by
        return False

    def action_cursor_down(self) -> None:
        """Next."""
        self._step(1)

    def action_cursor_up(self) -> None:
        """Previous; from the first entry on, the headings above it come into sight."""
        if not self._step(-1):
            self.scroll_to(y=0, animate=False, immediate=True)

    def _page(self, by: int) -> None:
        rows = 0
        while rows < max(1, self.size.height - 2) and self._step(by):
            rows += len(self._drawn.get(self._cursor, ())) or 1

    def action_page_down(self) -> None:
        """A page on."""
        self._page(1)

    def action_page_up(self) -> None:
        """A page back."""
        self._page(-1)

    def action_first(self) -> None:
        """First."""
        self._cursor = -1
        self._step(1)
        self.scroll_to(y=0, animate=False, immediate=True)

    def action_last(self) -> None:
        """Last."""
        self._cursor = len(self._blocks)
        self._step(-1)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor under the pointer."""
        row = int(self.scroll_y) + event.y
        if 0 <= row < len(self._lines) and not self._blocks[self._lines[row][0]].heading:
            self._move_to(self._lines[row][0])

    def on_resize(self) -> None:
        """Blocks are drawn for the width."""
        self._measure()

    def on_focus(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks different."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A visible line."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        row = int(self.scroll_offset.y) + y
        if row >= len(self._lines):
            return Strip.blank(width, ground)
        app = app_of(self)
        index, number = self._lines[row]
        here = index == self._cursor
        if self._blocks[index].heading:
            line = Text(" ", end="")
        else:
            mark = f"{app.glyphs.cursor} " if here and number == 0 else "  "
            line = Text(mark, style=app.palette.mark if here else "", end="")
        line.append_text(self._drawn[index][number])
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis", pad=True)
        if here and self.has_focus:
            line.stylize("bold")
        segments = line.render(app.console)
        strip = Strip([segment for segment in segments if segment.text != "\n"]).apply_style(ground)
        return strip.adjust_cell_length(width, ground)
