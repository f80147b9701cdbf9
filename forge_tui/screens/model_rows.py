"""A model on one line, for lists."""

from __future__ import annotations

from rich.text import Text

from engine.library.lineage import Branch
from forge_tui import figures, model_words
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.phase import phase_text
from forge_tui.text import one_line, plain

COLUMNS = (("size", 14), ("val bpb", 7), ("trained", 14), ("data", 22), ("tags", 18))
"""Names and widths of what stands right of the name; what does not fit is left out from the end."""
NAME = 18
"""Cells of the name at least; what the columns leave goes to it, up to `WIDEST`."""
WIDEST = 34
_RIGHT = ("val bpb",)


def columns(width: int) -> tuple[int, list[tuple[str, int]]]:
    """Cells of the name, and the columns that fit beside it."""
    room = width - NAME
    shown: list[tuple[str, int]] = []
    for name, cells in COLUMNS:
        if room < cells + 1:
            break
        shown.append((name, cells))
        room -= cells + 1
    return min(WIDEST, NAME + max(0, room)), shown


def heading(width: int, palette: Palette) -> Text:
    """Names of the columns."""
    return _row(plain("name", palette.quiet), {name: plain(name, palette.quiet) for name, _ in COLUMNS}, width)


def model_line(branch: Branch, width: int, palette: Palette, glyphs: Glyphs, *, indent: bool = True) -> Text:
    """A model in its columns, below the one that it came from."""
    entry = branch.entry
    lines = model_words.TREE_ASCII if glyphs.name == "ascii" else model_words.TREE_UNICODE
    name = Text(model_words.indented(branch, lines) if indent else "", style=palette.rule, end="")
    name.append_text(plain(one_line(entry.name, 64), palette.strong if entry.loadable else palette.quiet))
    cells = {
        "size": plain(model_words.size_words(entry), palette.text),
        "val bpb": plain(figures.loss(entry.val_bpb), palette.text),
        "trained": _state(branch, palette, glyphs),
        "data": plain(one_line(model_words.data_words(entry), 22), palette.quiet),
        "tags": plain(one_line(" ".join(entry.tags), 18), palette.accent),
    }
    return _row(name, cells, width)


def _state(branch: Branch, palette: Palette, glyphs: Glyphs) -> Text:
    entry = branch.entry
    if entry.alive and entry.phase is not None:
        return phase_text(entry.phase, glyphs, palette)
    if not entry.loadable and entry.published:
        return plain(f"{glyphs.bad} damaged", palette.error)
    if not entry.published and entry.phase is not None:
        return phase_text(entry.phase, glyphs, palette)
    return plain(model_words.since(entry.trained, model_words.clock()), palette.quiet)


def _row(name: Text, cells: dict[str, Text], width: int) -> Text:
    wide, shown = columns(width)
    line = Text(end="", no_wrap=True)
    for label, cell, room in [("name", name, wide), *((label, cells[label], room) for label, room in shown)]:
        cell.truncate(room, overflow="ellipsis")
        cell.end = ""
        pad = " " * (room - cell.cell_len)
        line.append(pad if label in _RIGHT else "")
        line.append_text(cell)
        line.append(" " if label in _RIGHT else f"{pad} ")
    return line
