"""Starting the job from where it was made: the questions that have to be asked first, then over to Train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forge_tui.access import app_of

if TYPE_CHECKING:
    from forge_tui.screens.planning import PlanningScreen


def start_from(screen: PlanningScreen) -> None:
    """Start the job of forge.toml and show how it goes; says why when it cannot."""
    app = app_of(screen)
    job = screen.job
    if app.workspace is None or job is None:
        app.notify("There is no job to start: see forge.toml.", severity="warning")
        return
    busy = next((run for run in screen.found.runs if run.alive), None) if screen.found is not None else None
    if busy is not None and busy.state.model == job.model.name:
        app.notify(f"{job.model.name} is being trained. Press 3 to watch it.", severity="warning")
        return
    if screen.amount is not None and screen.amount.problem:
        app.notify(f"{screen.amount.problem} Press 1 to choose data.", severity="warning")
        return
    if screen.conflict:
        app.notify(screen.conflict, severity="warning")
        return
    if job.train.method == "build" and screen.entry is not None:
        from forge_tui.screens.confirm import Confirm

        def answer(yes: bool | None) -> None:
            if yes:
                _begin(screen, force=True)

        detail = "The present model goes to the trash, from where it can be brought back."
        app.push_screen(Confirm(f"Build models/{job.model.name} anew?", detail=detail, yes="Build"), answer)
        return
    _begin(screen, force=False)


def _begin(screen: PlanningScreen, *, force: bool) -> None:
    app = app_of(screen)
    if app.view is not None and not app.view.run.alive:
        app.unfollow()
    app.show_screen("train")

    def start() -> None:
        from forge_tui.screens.steering import SteeringScreen

        if isinstance(app.screen, SteeringScreen):
            app.screen.start_run(force=force)

    app.call_later(start)
