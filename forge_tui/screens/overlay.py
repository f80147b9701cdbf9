"""Choose the runs whose curves are drawn beside the watched one's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult

from engine.runs.state import Run
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.screens.run_rows import run_line
from forge_tui.widgets.pick_list import PickList, Row

MOST = 3
"""Curves that a chart can still tell apart."""


class OverlayChoice(ForgeModal[list[Path]]):
    """Answers the chosen run folders."""

    HEADING = "Overlay the curves of other runs (at most three)"
    BINDINGS = bindings("overlay")

    def __init__(self, runs: Sequence[Run], chosen: Sequence[Path]) -> None:
        super().__init__()
        self._runs = runs
        self._chosen = list(chosen)

    def content(self) -> ComposeResult:
        """The runs."""
        yield PickList(id="overlay-list")

    def on_mount(self) -> None:
        """Fill the list."""
        pick = self.query_one(PickList)
        pick.styles.height = min(10, max(1, len(self._runs)))
        pick.focus()
        self._fill()

    def _fill(self) -> None:
        self.query_one(PickList).show(
            [Row(str(run.folder), partial(self._line, run), search=run.id) for run in self._runs]
        )

    def _line(self, run: Run, width: int) -> Text:
        app = app_of(self)
        mark = "[x] " if run.folder in self._chosen else "[ ] "
        line = Text(mark, style=app.palette.accent, end="")
        line.append_text(run_line(run, width - 4, app.palette, app.glyphs))
        return line

    def action_choose(self) -> None:
        """Choose or unchoose the marked run; a fourth one replaces the oldest choice."""
        marked = self.query_one(PickList).marked
        if marked is None:
            return
        folder = Path(marked)
        if folder in self._chosen:
            self._chosen.remove(folder)
        else:
            self._chosen = [*self._chosen, folder][-MOST:]
        self._fill()

    def action_accept(self) -> None:
        """Draw them."""
        self.dismiss(self._chosen)
