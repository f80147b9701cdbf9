"""Drawing the curves of other runs beside the watched one's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.runs.state import Run, runs_of
from forge_tui.run_view import RunView

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp


def choose_overlays(app: ForgeApp, changed: Callable[[], None]) -> None:
    """Ask which runs to draw beside the watched one, then load them."""
    project, view = app.project, app.view
    if project is None:
        return
    watched = view.folder if view is not None else None

    def ask(runs: list[Run]) -> None:
        if not runs:
            app.notify("There is no other run to draw beside this one.", timeout=4)
            return
        from forge_tui.screens.overlay import OverlayChoice

        def answer(chosen: list[Path] | None) -> None:
            if chosen is not None:
                set_overlays(app, chosen, changed)

        app.push_screen(OverlayChoice(runs, [other.folder for other in app.overlays]), answer)

    app.background.start(lambda: [run for run in runs_of(project) if run.folder != watched], ask, group="overlays")


def set_overlays(app: ForgeApp, folders: list[Path], changed: Callable[[], None]) -> None:
    """Draw these runs and no others."""

    def load() -> list[RunView]:
        views = []
        for folder in folders:
            try:
                views.append(RunView.open(folder))
            except ModelError:
                continue
        return views

    def done(views: list[RunView]) -> None:
        for old in app.overlays:
            old.close()
        app.overlays = views
        changed()

    app.background.start(load, done, group="overlays")
