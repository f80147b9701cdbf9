"""The loss chart: plotext on a canvas of cells, in the theme's colours. The only file that knows plotext.

plotext 6 is a C++ kernel: a NaN in a line aborts the whole process, and its own warnings go to file descriptor 1. So it
only ever sees finite numbers and explicit limits, is imported when the first chart is drawn, and has a stand-in.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from forge_tui.access import app_of
from forge_tui.chart import Figure
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.plain_chart import draw_plain
from forge_tui.text import plain

SHARE = 60
"""A redraw may not come sooner than so many times what the last one took: the training needs the processor more."""

MOST_SECONDS = 4.0
"""But after so many seconds it may come in any case."""

_TAGS = {"raw": 1, "overlay-1": 2, "overlay-2": 3, "overlay-3": 4, "train": 5, "validation": 6}
"""Palette numbers that stand for kinds of curves in plotext's output, until the theme's colours replace them."""
LABEL = 99
"""Tag of the axes' labels, which are text and not frame."""
_LABELS = re.compile(r"[\w.,-]+")
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
_TO_ASCII = str.maketrans("┤├│└┘┌┐┬┴─┼", "++|++++++-+")

Cells = list[tuple[str, int]]
"""One row: runs of characters with their tag (0 for the frame)."""


@dataclass(frozen=True, slots=True)
class _Kit:
    """plotext and a figure of its own."""

    plotext: Any
    figure: Any


_kit: _Kit | None = None


def _load() -> _Kit:
    global _kit
    if _kit is None:
        import plotext

        # A terminal of our own: the public figure is bound to the size of the real terminal.
        own = type(plotext.terminal)()
        own.limit(False, False)  # type: ignore[no-untyped-call]
        _kit = _Kit(plotext=plotext, figure=own._master)
    return _kit


def draw(figure: Figure, width: int, height: int, glyphs: Glyphs) -> list[Cells]:
    """The figure as `height` rows of `width` cells; by plotext, or by hand when that is missing or fails."""
    if width >= 20 and height >= 5:
        try:
            rows = _draw_plotext(figure, width, height, glyphs)
        except (ImportError, OSError, AttributeError, TypeError, ValueError, RuntimeError):
            rows = []
        if len(rows) == height:
            return rows
    return draw_plain(figure, width, height, glyphs, _TAGS)


def _draw_plotext(figure: Figure, width: int, height: int, glyphs: Glyphs) -> list[Cells]:
    kit = _load()
    f, plotext = kit.figure, kit.plotext
    f.clear()
    f.theme("colorless")
    f.plot_size(width, height)
    f.axes(False, side=1)
    f.legend(False)
    for line in figure.lines:
        if not line.points:
            continue
        symbol = glyphs.dot if line.dots else glyphs.marker
        marker = plotext.marker(symbol, pixel=plotext.pixel(foreground=_TAGS[line.kind]))
        signal = f.signal([x for x, _ in line.points], [y for _, y in line.points], marker=marker)
        f.draw(signal if line.dots else signal.lines())
    for name, limits, ticks in (("x", figure.x, figure.x_ticks), ("y", figure.y, figure.y_ticks)):
        ruler = f.ruler(name)
        ruler.lim(*limits)
        ruler.ticks([at for at, _ in ticks], [label for _, label in ticks])
    text = f.build().string()
    if glyphs.name == "ascii":
        text = text.translate(_TO_ASCII)
    return [_cells(row) for row in text.split("\n")[:height]]


def _cells(row: str) -> Cells:
    """A row of plotext's output as tagged runs of characters."""
    cells: Cells = []
    tag, at = 0, 0
    for match in _ESCAPE.finditer(row):
        if match.start() > at:
            cells.append((row[at : match.start()], tag))
        codes = match[1].split(";")
        tag = int(codes[2]) if codes[:2] == ["38", "5"] and len(codes) == 3 else 0
        at = match.end()
    if at < len(row):
        cells.append((row[at:], tag))
    return cells


def _split(frame: str) -> Cells:
    """A run of the frame with its labels apart."""
    cells: Cells = []
    at = 0
    for match in _LABELS.finditer(frame):
        if any(char.isdigit() for char in match[0]):
            cells += [(frame[at : match.start()], 0), (match[0], LABEL)]
            at = match.end()
    return [*cells, (frame[at:], 0)]


def styles_of(palette: Palette, *, ansi: bool) -> dict[int, Style]:
    """Tag to style. Without a palette of its own a terminal shows the raw curve dim behind the even one."""
    return {
        0: palette.rule,
        LABEL: palette.quiet,
        _TAGS["raw"]: Style(dim=True) if ansi else palette.rule,
        _TAGS["overlay-1"]: palette.overlays[0],
        _TAGS["overlay-2"]: palette.overlays[1],
        _TAGS["overlay-3"]: palette.overlays[2],
        _TAGS["train"]: palette.train,
        _TAGS["validation"]: palette.validation,
    }


class LossChart(Widget, can_focus=True):
    """Draws what `show` is given; it may be called often, drawing happens as rarely as the eye allows."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="framed")
        self._make: Callable[[int, int], Figure | None] = lambda width, height: None
        self._legend: Sequence[Text] = ()
        self._empty = ""
        self._rows: list[Strip] = []
        self._drawn: tuple[object, ...] = ()
        self.cost = 0.0
        """Seconds that the last drawing took."""
        self._ready = 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has gone by since the last drawing for new points to be worth another."""
        return time.monotonic() >= self._ready

    def show(
        self, make: Callable[[int, int], Figure | None], *, title: Text, legend: Sequence[Text] = (), note: Text,
        empty: str = "",
    ) -> None:  # fmt: skip
        """Show another figure.

        Args:
            make: Makes the figure for a width and a height in cells; None while there is nothing to draw.
            title: In the upper edge of the frame.
            legend: One line for each curve, drawn where the curves leave room at the right.
            note: In the lower edge of the frame.
            empty: Shown while there is nothing to draw.
        """
        self._make, self._legend, self._empty = make, legend, empty
        self.border_title, self.border_subtitle = title, note
        self._drawn = ()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A row of the chart."""
        app = app_of(self)
        state = (self.size, app.theme, app.glyphs.name)
        if self._drawn != state:
            self._draw()
            self._drawn = state
        return self._rows[y] if y < len(self._rows) else Strip.blank(self.size.width)

    def _draw(self) -> None:
        started, warm = time.monotonic(), _kit is not None
        app = app_of(self)
        width, height = self.size
        ground = self.rich_style
        figure = self._make(width, height)
        if figure is None:
            self._rows = _centred(self._empty, width, height, ground + app.palette.quiet, ground)
            return
        styles = styles_of(app.palette, ansi=app.current_theme.ansi)
        rows = draw(figure, width, height, app.glyphs)
        strips = [_strip(row, styles, ground, width) for row in rows]
        self._rows = _with_legend(rows, strips, self._legend, width, ground, app.console)
        self.cost = time.monotonic() - started
        # The first drawing loads plotext: it says nothing about the next.
        self._ready = time.monotonic() + (min(MOST_SECONDS, self.cost * SHARE) if warm else 0.0)


def _with_legend(
    rows: Sequence[Cells], strips: Sequence[Strip], legend: Sequence[Text], width: int, ground: Style, console: Console
) -> list[Strip]:
    """The rows with the legend at the right: in the upper corner, or lower where a curve is in the way there."""
    wide = max((line.cell_len for line in legend), default=0)
    start, room = width - wide - 2, len(rows) - len(legend) - 2
    result = list(strips)
    if start < width // 2 or room < 0:
        return result
    texts = ["".join(text for text, _ in row).ljust(width)[start - 1 :] for row in rows]
    free = [top for top in range(room + 1) if not any(text.strip() for text in texts[top : top + len(legend)])]
    top = free[0] if free else 0
    for index, line in enumerate(legend, start=top):
        mark = Strip(line.render(console)).apply_style(ground).adjust_cell_length(wide, ground)
        tail = Strip.blank(width - start - wide, ground)
        result[index] = Strip.join([strips[index].crop(0, start), mark, tail])
    return result


def _strip(cells: Sequence[tuple[str, int]], styles: dict[int, Style], ground: Style, width: int) -> Strip:
    pieces = [piece for text, tag in cells for piece in (_split(text) if tag == 0 else [(text, tag)])]
    segments = [Segment(text, ground + styles.get(tag, ground)) for text, tag in pieces]
    return Strip(segments).adjust_cell_length(width, ground)


def _centred(text: str, width: int, height: int, style: Style, ground: Style) -> list[Strip]:
    rows = [Strip.blank(width, ground) for _ in range(height)]
    shown = plain(text).plain.split("\n")
    top = max(0, (height - len(shown)) // 2)
    for index, line in enumerate(shown[: height - top]):
        segment = Segment(line[:width].center(width), style)
        rows[top + index] = Strip([segment]).adjust_cell_length(width, ground)
    return rows
