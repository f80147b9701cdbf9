"""The preview of a data file of any size: only what is looked at is read, wrapped and drawn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.palette import Palette
from forge_tui.preview_rows import MaskedDocument, PreviewRow, head_words, mask_rows, text_rows

if TYPE_CHECKING:
    from engine.text.conversation import Document
    from engine.text.outline import Outline
    from engine.text.pieces import Entry, Piece

KEPT = 300
"""Entries whose rows are kept."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A row of the file."""

    piece: int
    entry: int
    row: int


class DocumentPane(Widget, can_focus=True):
    """Documents one below the other, from wherever in the file; it scrolls by rows and jumps by lines."""

    BINDINGS = bindings("preview")

    class Moved(Message):
        """Another part of the file is shown."""

    class Again(Message):
        """The next place that holds the text is wanted."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.outline: Outline | None = None
        self.mask: Callable[[Document], MaskedDocument] | None = None
        """Tells how a document is trained on; None shows its turns."""
        self._top = Place(0, 0, 0)
        self._target = 0
        self._words = ""
        self._rows: OrderedDict[tuple[int, int], list[PreviewRow]] = OrderedDict()
        self._seen: list[Place] = []
        self._bar = range(0)

    # ---- what is shown

    def show(self, outline: Outline | None, words: str = "") -> None:
        """Show a file from its beginning, or some words instead."""
        self.outline = outline
        self._words = words
        self._top = Place(0, 0, 0)
        self._target = 0
        self.redraw()
        self._go(self._first())

    def redraw(self) -> None:
        """What is known of the file, or the way to show it, has changed."""
        self._rows.clear()
        self._look()

    @property
    def piece(self) -> Piece | None:
        """The piece at the top."""
        return self.outline.piece(self._top.piece) if self.outline is not None else None

    @property
    def entry(self) -> Entry | None:
        """The entry at the top."""
        piece = self.piece
        return piece.entries[self._top.entry] if piece is not None and self._top.entry < len(piece.entries) else None

    @property
    def line(self) -> int | None:
        """The line of the file that is looked at: the one that was jumped to, else the one at the top."""
        piece, entry = self.piece, self.entry
        if self.outline is None or piece is None:
            return None
        if self._target:
            return self._target
        rows = self._rows_of(self._top.piece, self._top.entry) if entry is not None else []
        line = rows[self._top.row].line if self._top.row < len(rows) else 0
        return self.outline.line_of(piece, line or (entry.first_line if entry is not None else 1))

    @property
    def number(self) -> int | None:
        """Which document is at the top, from 1."""
        piece, entry = self.piece, self.entry
        if self.outline is None or piece is None or entry is None or entry.document is None:
            return None
        return self.outline.document_number(piece, entry)

    @property
    def offset_now(self) -> int:
        """About where in the file the top is, in bytes."""
        piece = self.piece
        return piece.start if piece is not None else 0

    # ---- moving

    def _first(self) -> Place:
        return self._next_entry(Place(0, -1, 0)) or Place(0, 0, 0)

    def _entries(self, piece: int) -> int:
        return len(self.outline.piece(piece).entries) if self.outline is not None else 0

    def _next_entry(self, place: Place) -> Place | None:
        """The beginning of the entry after this one."""
        if self.outline is None:
            return None
        piece, entry = place.piece, place.entry + 1
        while piece < self.outline.pieces:
            if entry < self._entries(piece):
                return Place(piece, entry, 0)
            piece, entry = piece + 1, 0
        return None

    def _entry_before(self, place: Place) -> Place | None:
        """The beginning of the entry before this one."""
        piece, entry = place.piece, place.entry - 1
        while piece >= 0:
            if 0 <= entry < self._entries(piece):
                return Place(piece, entry, 0)
            piece -= 1
            entry = self._entries(piece) - 1 if piece >= 0 else -1
        return None

    def _rows_of(self, piece: int, entry: int) -> list[PreviewRow]:
        key = (piece, entry)
        rows = self._rows.get(key)
        if rows is None:
            assert self.outline is not None
            found = self.outline.piece(piece).entries[entry]
            width, glyphs = max(8, self.size.width - 2), app_of(self).glyphs
            if self.mask is not None and found.document is not None:
                rows = mask_rows(found, self.mask(found.document), width, glyphs)
            else:
                rows = text_rows(found, width, glyphs)
            self._rows[key] = rows
            while len(self._rows) > KEPT:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(key)
        return rows

    def _moved(self, place: Place, rows: int) -> Place:
        """The place so many rows further, or the first or last row there is."""
        while rows > 0:
            left = len(self._rows_of(place.piece, place.entry)) - 1 - place.row
            if rows <= left:
                return Place(place.piece, place.entry, place.row + rows)
            after = self._next_entry(place)
            if after is None:
                return Place(place.piece, place.entry, place.row + left)
            place, rows = after, rows - left - 1
        while rows < 0:
            if place.row + rows >= 0:
                return Place(place.piece, place.entry, place.row + rows)
            before = self._entry_before(place)
            if before is None:
                return Place(place.piece, place.entry, 0)
            rows += place.row + 1
            place = Place(before.piece, before.entry, len(self._rows_of(before.piece, before.entry)) - 1)
        return place

    def _go(self, place: Place) -> None:
        if not self._entries(place.piece):
            self._look()
            return
        height = max(1, self.size.height)
        reach, rows = place, 1
        while rows < height:
            after = self._moved(reach, height - rows)
            gained = self._distance(reach, after)
            if gained == 0:
                break
            reach, rows = after, rows + gained
        self._top = self._moved(place, rows - height) if rows < height else place
        self._look()
        self.post_message(self.Moved())

    def _distance(self, start: Place, end: Place) -> int:
        """Rows from one place to a later one, which is near."""
        rows = 0
        while (start.piece, start.entry) != (end.piece, end.entry):
            rows += len(self._rows_of(start.piece, start.entry)) - start.row
            after = self._next_entry(start)
            if after is None:
                return rows
            start = after
        return rows + end.row - start.row

    def move(self, rows: int) -> None:
        """Scroll."""
        if self.outline is not None and self._entries(self._top.piece):
            self._target = 0
            self._go(self._moved(self._top, rows))

    def go_line(self, line: int) -> bool:
        """Show a line of the file, marked; False when it is not known yet where that is."""
        found = self.outline.find_line(line) if self.outline is not None else None
        if found is None:
            return False
        self._target = line
        self._show_line(*found)
        return True

    def go_offset(self, offset: int) -> None:
        """Show the line that a byte is in, marked."""
        if self.outline is not None:
            piece, line = self.outline.find_offset(offset)
            self._target = self.outline.line_of(piece, line) or 0
            self._show_line(piece, line)

    def _show_line(self, piece: Piece, line: int) -> None:
        entry = next((index for index, one in enumerate(piece.entries) if one.last_line >= line), None)
        if entry is None:
            place = self._next_entry(Place(piece.index, len(piece.entries), 0)) or self._last()
        else:
            rows = self._rows_of(piece.index, entry)
            row = next((index for index, one in enumerate(rows) if one.line >= line and not one.head), 0)
            place = Place(piece.index, entry, max(0, row - 1))
        self._go(place)

    def _last(self) -> Place:
        assert self.outline is not None
        place = self._entry_before(Place(self.outline.pieces, 0, 0)) or Place(0, 0, 0)
        if not self._entries(place.piece):
            return place
        return Place(place.piece, place.entry, len(self._rows_of(place.piece, place.entry)) - 1)

    def action_line_down(self) -> None:
        """One row down."""
        self.move(1)

    def action_line_up(self) -> None:
        """One row up."""
        self.move(-1)

    def action_page_down(self) -> None:
        """A page down."""
        self.move(max(1, self.size.height - 2))

    def action_page_up(self) -> None:
        """A page up."""
        self.move(-max(1, self.size.height - 2))

    def action_top(self) -> None:
        """To the first document."""
        self._target = 0
        self._go(self._first())

    def action_bottom(self) -> None:
        """To the last one."""
        if self.outline is not None:
            self._target = 0
            self._go(self._last())

    def action_next_document(self) -> None:
        """The next document to the top."""
        after = self._next_entry(self._top)
        if after is not None:
            self._target = 0
            self._go(after)

    def action_previous_document(self) -> None:
        """This document's beginning, or the one before."""
        self._target = 0
        before = self._entry_before(self._top)
        self._go(Place(self._top.piece, self._top.entry, 0) if self._top.row else before or self._top)

    def action_search_on(self) -> None:
        """The next match; who searches knows it."""
        self.post_message(self.Again())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        self.move(-3)

    # ---- drawing

    def on_resize(self) -> None:
        """Rows are wrapped for the width."""
        before, self._top = self._top, Place(self._top.piece, self._top.entry, 0)
        self._rows.clear()
        if before.row and self.outline is not None and self._entries(before.piece):
            rows = len(self._rows_of(before.piece, before.entry))
            self._top = Place(before.piece, before.entry, min(before.row, rows - 1))
        self._go(self._top)

    def on_focus(self) -> None:
        """The scroll bar looks different."""
        self.refresh()

    def on_blur(self) -> None:
        """The scroll bar looks different."""
        self.refresh()

    def _look(self) -> None:
        """Which rows are seen."""
        self._seen = []
        place: Place | None = self._top
        if self.outline is not None and self._entries(self._top.piece):
            while place is not None and len(self._seen) < self.size.height:
                rows = self._rows_of(place.piece, place.entry)
                piece, entry = place.piece, place.entry
                self._seen += [Place(piece, entry, row) for row in range(place.row, len(rows))]
                place = self._next_entry(place)
        del self._seen[self.size.height :]
        self._bar = self._thumb()
        self.refresh()

    def _thumb(self) -> range:
        """Rows of the scroll bar that stand for what is seen."""
        height, outline = self.size.height, self.outline
        if outline is None or not self._seen or outline.size == 0:
            return range(0)

        def share(place: Place) -> float:
            assert outline is not None
            piece = outline.piece(place.piece)
            rows = max(1, len(self._rows_of(place.piece, place.entry)))
            inside = (place.entry + place.row / rows) / max(1, len(piece.entries))
            return (piece.start + (piece.end - piece.start) * inside) / outline.size

        first = self._first()
        at_end = self._next_entry(self._seen[-1]) is None
        if self._top == first and at_end:
            return range(0)
        top = 0 if self._top == first else max(1, min(height - 1, int(share(self._top) * height)))
        bottom = height if at_end else min(height - 1, max(top + 1, int(share(self._seen[-1]) * height)))
        return range(min(top, bottom - 1), bottom)

    def render_line(self, y: int) -> Strip:
        """One row."""
        app = app_of(self)
        width, ground = self.size.width, self.rich_style
        if y >= len(self._seen) or self.outline is None:
            words = self._words if y == 0 and self.outline is None else ""
            return Strip([Segment(f" {words}", ground + app.palette.quiet)]).adjust_cell_length(width, ground)
        place = self._seen[y]
        row = self._rows_of(place.piece, place.entry)[place.row]
        styles = _styles(app.palette)
        piece = self.outline.piece(place.piece)
        entry = piece.entries[place.entry]
        segments: list[Segment]
        if row.head:
            segments = self._head(piece, entry, width - 2)
        else:
            segments = [Segment(text, styles.get(style, app.palette.text)) for text, style in row.parts]
            if self._target and row.line and self.outline.line_of(piece, row.line) == self._target:
                segments = [Segment(text, (style or Style()) + app.palette.mark) for text, style, _ in segments]
                segments[0] = Segment(segments[0].text, (segments[0].style or Style()) + Style(reverse=True))
        strip = Strip(segments).adjust_cell_length(width - 1, Style())
        shown = Segment(app.glyphs.thumb if y in self._bar else " ",
                        app.palette.accent if self.has_focus else app.palette.rule)  # fmt: skip
        return Strip([*strip, shown]).apply_style(ground)

    def _head(self, piece: Piece, entry: Entry, width: int) -> list[Segment]:
        assert self.outline is not None
        app = app_of(self)
        number = self.outline.document_number(piece, entry)
        words, _ = head_words(entry, number, self.outline.line_of(piece, entry.first_line), self.outline.documents)
        line, rule = app.glyphs.line, app.palette.rule
        return [
            Segment(f"{line} ", rule),
            Segment(words[: max(0, width - 4)], app.palette.quiet),
            Segment(f" {line * max(0, width - 3 - len(words))}", rule),
        ]


def _styles(palette: Palette) -> dict[str, Style]:
    bold, under = Style(bold=True), Style(underline=True)
    return {
        "user": palette.train,
        "user-label": palette.train + bold,
        "assistant": palette.text,
        "assistant-label": palette.validation + bold,
        "system": palette.quiet,
        "system-label": palette.quiet + bold,
        "tool": palette.overlays[0],
        "tool-label": palette.overlays[0] + bold,
        "text": palette.text,
        "quiet": palette.quiet,
        "rule": palette.rule,
        "error": palette.error,
        "warning": palette.warning,
        "hint": palette.quiet,
        "trained": palette.text,
        "trained-sign": palette.good,
        "weighted": palette.text + under,
        "weighted-sign": palette.validation,
        "masked": palette.quiet,
        "masked-sign": palette.quiet,
    }
