"""A small chart without plotext: for tiny panes, and for machines where plotext cannot be loaded."""

from __future__ import annotations

from collections.abc import Mapping

from forge_tui.chart import Figure, Line
from forge_tui.glyphs import Glyphs

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille cell, row by column."""

Cells = list[tuple[str, int]]


def draw_plain(figure: Figure, width: int, height: int, glyphs: Glyphs, tags: Mapping[str, int]) -> list[Cells]:
    """The figure as rows of tagged runs, with the y labels at the left and no x axis."""
    if width < 1 or height < 1:
        return [[] for _ in range(max(0, height))]
    labels = {_row(at, figure.y, height): label for at, label in figure.y_ticks}
    margin = min(max((len(label) for label in labels.values()), default=0), max(0, width - 4))
    columns = max(1, width - margin - 1)
    canvas: list[list[tuple[int, int, str]]] = [[(0, 0, "") for _ in range(columns)] for _ in range(height)]
    for line in figure.lines:
        _trace(canvas, line, figure, tags[line.kind], glyphs)
    edge = "|" if glyphs.name == "ascii" else "│"
    rows: list[Cells] = []
    for y in range(height):
        cells: Cells = [(f"{labels.get(y, ''):>{margin}.{margin}}{edge}"[:width], 0)]
        cells += [(_picture(bits, mark, glyphs), tag) for bits, tag, mark in canvas[y]]
        rows.append(cells)
    return rows


def _row(value: float, limits: tuple[float, float], rows: int) -> int:
    share = (value - limits[0]) / (limits[1] - limits[0])
    return rows - 1 - min(rows - 1, max(0, int(share * rows)))


def _trace(canvas: list[list[tuple[int, int, str]]], line: Line, figure: Figure, tag: int, glyphs: Glyphs) -> None:
    height, width = len(canvas), len(canvas[0])
    before: tuple[int, int] | None = None
    for x, y in line.points:
        across = (x - figure.x[0]) / (figure.x[1] - figure.x[0])
        here = (min(2 * width - 1, max(0, int(across * 2 * width))), _row(y, figure.y, 4 * height))
        if line.dots:
            canvas[here[1] // 4][here[0] // 2] = (0, tag, glyphs.dot)
            continue
        reach = 0 if before is None else max(abs(here[0] - before[0]), abs(here[1] - before[1]))
        for part in range(reach + 1):
            share = part / reach if reach else 1.0
            start = before or here
            column = round(start[0] + (here[0] - start[0]) * share)
            row = round(start[1] + (here[1] - start[1]) * share)
            bits, _, mark = canvas[row // 4][column // 2]
            canvas[row // 4][column // 2] = (bits | _DOTS[row % 4][column % 2], tag, mark)
        before = here


def _picture(bits: int, mark: str, glyphs: Glyphs) -> str:
    if mark:
        return mark
    if not bits:
        return " "
    return "*" if glyphs.name == "ascii" else chr(0x2800 + bits)
