"""The log: thousands of lines, of which only the visible ones are drawn; filtered by level and text; follows the newest
line until somebody scrolls up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.events import Event
from forge_tui.access import app_of
from forge_tui.narration import LEVELS, Level, narrate
from forge_tui.palette import Palette, severity

MAX_LINES = 2000
LEVEL_WORDS: dict[Level, str] = {
    "debug": "everything",
    "info": "news",
    "warning": "warnings and errors",
    "error": "errors",
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line."""

    at: float
    """Seconds since the epoch."""
    level: Level
    text: str
    """Sanitised."""


def lines_of(events: Iterable[Event]) -> list[LogLine]:
    """Events as log lines."""
    return [LogLine(event.time, *narrate(event)) for event in events]


class LogPane(ScrollView, can_focus=True):
    """Lines in order of arrival. `add` is given batches, once a tick."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self._shown: list[LogLine] = []
        self.level: Level = "info"
        self.pattern = ""
        self.following = True

    def clear(self) -> None:
        """Forget all lines, and follow again."""
        self._lines.clear()
        self.following = True
        self._select()

    def add(self, lines: Iterable[LogLine]) -> None:
        """Append a batch."""
        batch = list(lines)
        if not batch:
            return
        self._lines.extend(batch)
        fresh = [line for line in batch if self._wanted(line)]
        if not fresh:
            return
        self._shown.extend(fresh)
        surplus = len(self._shown) - MAX_LINES
        if surplus > 0:
            del self._shown[:surplus]
            if not self.following:
                self.scroll_to(y=max(0, self.scroll_y - surplus), animate=False, immediate=True)
        self._resize()

    def _wanted(self, line: LogLine) -> bool:
        return LEVELS.index(line.level) >= LEVELS.index(self.level) and self.pattern.lower() in line.text.lower()

    def _select(self) -> None:
        self._shown = [line for line in self._lines if self._wanted(line)]
        self._resize()

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._shown))
        if self.following:
            self._to_end()
            # The first line too many makes the scroll bar appear, and only then there is something to scroll.
            if self.scroll_y < self.max_scroll_y:
                self.call_after_refresh(self._to_end)
        self.refresh()

    def _to_end(self) -> None:
        if self.following:
            self.scroll_to(y=len(self._shown), animate=False, immediate=True)

    def search(self, pattern: str) -> None:
        """Show only lines with this text; an empty one shows all."""
        self.pattern = pattern
        self._select()

    def next_level(self) -> Level:
        """Show the next selection of levels."""
        self.level = LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)]
        self._select()
        return self.level

    @property
    def state(self) -> str:
        """What is shown, in a few words for the pane's title."""
        words = [LEVEL_WORDS[self.level]] if self.level != "info" else []
        if self.pattern:
            words.append(f'"{self.pattern}" {len(self._shown)} of {len(self._lines)}')
        words.append("following" if self.following else f"line {int(self.scroll_y) + 1} of {len(self._shown)}")
        return ", ".join(words)

    def move(self, lines: int) -> None:
        """Scroll by lines; upwards ends following, reaching the end takes it up again."""
        end = self.max_scroll_y
        target = min(end, max(0, round(self.scroll_target_y) + lines))
        self.scroll_to(y=target, animate=False, immediate=True)
        self.following = target >= end and (lines > 0 or not end)
        self.refresh()

    def page(self) -> int:
        """Lines in a page."""
        return max(1, self.size.height - 1)

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.following = True
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        self.refresh()

    def on_resize(self) -> None:
        """Keep the newest line in sight."""
        self._resize()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Scrolling with the mouse counts as well."""
        super().watch_scroll_y(old, new)
        if new < old and new < self.max_scroll_y:
            self.following = False
        elif new >= self.max_scroll_y:
            self.following = True

    def render_line(self, y: int) -> Strip:
        """One visible line."""
        width = self.scrollable_content_region.width
        ground = self.rich_style
        index = int(self.scroll_offset.y) + y
        if index >= len(self._shown):
            return Strip.blank(width, ground)
        app = app_of(self)
        return _strip(self._shown[index], app.palette, ground, width, app.glyphs.ellipsis)


def _strip(line: LogLine, palette: Palette, ground: Style, width: int, ellipsis: str) -> Strip:
    moment, today = time.localtime(line.at), time.localtime(time.time())
    same = moment[:3] == today[:3]
    clock = time.strftime("%H:%M:%S" if same else "%m-%d %H:%M", moment)
    mark = {"warning": "! ", "error": "! "}.get(line.level, "  ")
    style = palette.text if line.level == "info" else severity(palette, line.level)
    segments = [
        Segment(f" {clock} ", ground + palette.quiet),
        Segment(mark, ground + severity(palette, line.level)),
        Segment(line.text, ground + style),
    ]
    strip = Strip(segments)
    if strip.cell_length > width:
        strip = Strip([*strip.crop(0, max(0, width - len(ellipsis))), Segment(ellipsis, ground + palette.quiet)])
    return strip.adjust_cell_length(width, ground)
