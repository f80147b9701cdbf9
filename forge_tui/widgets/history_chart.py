"""The curve of a run that is looked at in passing: read in the background, drawn once."""

from __future__ import annotations

from pathlib import Path

from engine.runs.digest import Digest, open_digest
from forge_tui.access import app_of
from forge_tui.chart import ChartOptions, figure_of
from forge_tui.chart_words import chart_note
from forge_tui.text import plain
from forge_tui.widgets.loss_chart import LossChart


class HistoryChart(LossChart, can_focus=False):
    """A loss chart that is given runs instead of figures."""

    def show_run(self, folder: Path | None, empty: str) -> None:
        """Draw the curve of the run in a folder, or say why there is none."""
        app = app_of(self)
        if folder is None:
            self.show(lambda width, height: None, title=plain("loss"), note=plain(""), empty=empty)
            return

        def load() -> Digest:
            digest, reader = open_digest(folder)
            reader.close()
            return digest

        app.background.start(load, lambda digest: self._show_digest(folder, digest), group=f"history {self.id}")

    def _show_digest(self, folder: Path, digest: Digest) -> None:
        if not self.is_attached:
            return
        app = app_of(self)
        options = ChartOptions(unit=app.settings.chart_unit, log=app.settings.chart_log)
        self.show(
            lambda width, height: figure_of(digest, [], options, width, height),
            title=plain(folder.name, app.palette.strong), note=chart_note(digest, options, app.palette),
            empty="No step was finished.",
        )  # fmt: skip
