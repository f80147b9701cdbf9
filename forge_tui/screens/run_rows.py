"""A run on one line, for lists."""

from __future__ import annotations

import time

from rich.text import Text

from engine.runs.state import Run
from forge_tui import figures
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.phase import phase_text
from forge_tui.text import one_line, plain

COLUMNS = (("model", 16), ("size", 7), ("state", 16), ("done", 5), ("val bpb", 8), ("when", 12), ("run", 20))
"""Names and widths; what does not fit is left out from the end."""
_RIGHT = ("done", "val bpb")


def columns(width: int) -> list[tuple[str, int]]:
    """The columns that fit."""
    shown: list[tuple[str, int]] = []
    for name, cells in COLUMNS:
        width -= cells + 1
        if width < -1:
            break
        shown.append((name, cells))
    return shown


def run_line(run: Run, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """A run in its columns."""
    state = run.state
    value = state.best_val_bpb if state.best_val_bpb is not None else state.val_bpb
    cells = {
        "model": plain(one_line(state.model, 16), palette.strong),
        "size": plain(one_line(state.size, 7), palette.quiet),
        "state": phase_text(run.phase, glyphs, palette, code=state.code),
        "done": plain(_progress(run), palette.text),
        "val bpb": plain(figures.loss(value), palette.text),
        "when": plain(_when(run, glyphs), palette.quiet),
        "run": plain(one_line(run.id, 20), palette.quiet),
    }
    return _row(cells, width)


def heading(width: int, palette: Palette) -> Text:
    """Names of the columns of `run_line`."""
    return _row({name: plain(name, palette.quiet) for name, _ in COLUMNS}, width)


def _row(cells: dict[str, Text], width: int) -> Text:
    line = Text(end="", no_wrap=True)
    for name, room in columns(width):
        cell = cells[name]
        cell.truncate(room, overflow="ellipsis")
        cell.end = ""
        pad = " " * (room - cell.cell_len)
        line.append_text(_padded(pad, cell) if name in _RIGHT else _padded("", cell, pad))
        line.append(" ")
    line.rstrip()
    return line


def _padded(before: str, cell: Text, after: str = "") -> Text:
    """A cell with blanks around it."""
    return Text(before, end="").append_text(cell).append(after)


def _when(run: Run, glyphs: Glyphs) -> str:
    state = run.state
    if not run.alive:
        return figures.ago(max(0.0, time.time() - (state.ended or state.updated or state.created)))
    if state.eta_seconds is None:
        return "running"
    return f"{glyphs.about}{figures.duration(state.eta_seconds)} left"


def _progress(run: Run) -> str:
    state = run.state
    if run.phase == "finished":
        return "100%"
    return f"{min(100, 100 * state.step // state.steps)}%" if state.steps else "-"
