"""A model on one line, for lists."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from engine.library.lineage import Branch
from forge_tui import figures, model_words
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.phase import phase_text
from forge_tui.text import one_line, plain

COLUMNS = (("val bpb", 7), ("trained", 13), ("size", 13), ("data", 18), ("tags", 18))
"""Names and widths of what stands right of the name; what does not fit is left out from the end."""
NARROWEST, WIDEST = 12, 34
"""Cells of the name."""
_RIGHT = ("val bpb",)


def name_width(branches: Iterable[Branch], *, indent: bool = True) -> int:
    """Cells that the longest name needs."""
    longest = max((len(branch.entry.name) + 2 * branch.depth * indent for branch in branches), default=0)
    return min(WIDEST, max(NARROWEST, longest))


def columns(width: int, name: int) -> list[tuple[str, int]]:
    """The columns that fit beside a name of `name` cells."""
    room = width - name
    shown: list[tuple[str, int]] = []
    for label, cells in COLUMNS:
        if room < cells + 2:
            break
        shown.append((label, cells))
        room -= cells + 2
    return shown


def heading(width: int, name: int, palette: Palette) -> Text:
    """Names of the columns."""
    words = {label: plain(label, palette.quiet) for label, _ in COLUMNS}
    return _row(plain("name", palette.quiet), words, width, name)


def model_line(
    branch: Branch, width: int, name: int, palette: Palette, glyphs: Glyphs, *, indent: bool = True
) -> Text:  # fmt: skip
    """A model in its columns, below the one that it came from.

    Args:
        branch: The model and its place in the tree.
        width: Cells of the line.
        name: Cells of the name, from `name_width`.
        palette: Styles.
        glyphs: Characters.
        indent: Whether the lines of the tree are drawn.
    """
    entry = branch.entry
    lines = model_words.TREE_ASCII if glyphs.name == "ascii" else model_words.TREE_UNICODE
    label = Text(model_words.indented(branch, lines) if indent else "", style=palette.rule, end="")
    label.append_text(plain(one_line(entry.name, 64), palette.strong if entry.loadable else palette.quiet))
    cells = {
        "size": plain(model_words.size_words(entry), palette.text),
        "val bpb": plain(figures.loss(entry.val_bpb), palette.text),
        "trained": _state(branch, palette, glyphs),
        "data": plain(one_line(model_words.data_words(entry), 18), palette.quiet),
        "tags": plain(one_line(" ".join(entry.tags), 18), palette.accent),
    }
    return _row(label, cells, width, name)


def _state(branch: Branch, palette: Palette, glyphs: Glyphs) -> Text:
    entry = branch.entry
    if entry.alive and entry.phase is not None:
        return phase_text(entry.phase, glyphs, palette)
    if not entry.loadable and entry.published:
        return plain(f"{glyphs.bad} damaged", palette.error)
    if not entry.published and entry.phase is not None:
        return phase_text(entry.phase, glyphs, palette)
    return plain(model_words.since(entry.trained, model_words.clock()), palette.quiet)


def _row(label: Text, cells: dict[str, Text], width: int, name: int) -> Text:
    line = Text(end="", no_wrap=True)
    shown = [("name", label, name), *((column, cells[column], room) for column, room in columns(width, name))]
    for column, cell, room in shown:
        cell.truncate(room, overflow="ellipsis")
        cell.end = ""
        pad = " " * (room - cell.cell_len)
        line.append("  " if line else "")
        line.append(pad if column in _RIGHT else "")
        line.append_text(cell)
        line.append("" if column in _RIGHT else pad)
    line.rstrip()
    return line
