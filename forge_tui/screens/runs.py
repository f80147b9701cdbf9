"""Runs: every run of the project, live and past, with what can be done to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.runs.digest import Digest, open_digest
from engine.runs.state import Run, runs_of
from forge_tui import figures, run_control
from forge_tui.access import app_of
from forge_tui.chart import ChartOptions, figure_of
from forge_tui.chart_words import chart_note
from forge_tui.keys import bindings
from forge_tui.run_trash import restore, to_trash
from forge_tui.run_view import Changes
from forge_tui.screens.base import ForgeScreen
from forge_tui.screens.run_rows import heading, run_line
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import wrapped
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.loss_chart import LossChart
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain

REFRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Detail:
    """The marked run with its history."""

    run: Run
    digest: Digest


class RunsScreen(ForgeScreen):
    """A list, and the marked run's curve and facts."""

    HELP_SCOPES = ("runs", "list", "filter")
    BINDINGS = bindings("runs", "filter")

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, Run] = {}
        self._detail: _Detail | None = None
        self._loaded = False
        self._deleted: list[Path] = []

    def body(self) -> ComposeResult:
        """List above (or at the left), detail below (or at the right)."""
        with Horizontal(id="runs"):
            with Vertical(id="runs-left"):
                yield PaneTitle("runs", id="runs-title")
                yield Plain(id="runs-heading")
                yield PickList(id="runs-list")
                yield FilterBar(id="runs-filter")
            with Vertical(id="runs-right"):
                yield LossChart(id="runs-chart")
                yield Plain(id="runs-facts")
        yield Plain(id="runs-empty", classes="empty")

    def on_mount(self) -> None:
        """Look again from time to time, while the screen is shown."""
        self.set_interval(REFRESH_SECONDS, self._look)
        self.query_one("#runs-list").focus()

    def arrived(self) -> None:
        """Look at once."""
        self._look()

    def run_changed(self, changes: Changes) -> None:
        """The watched run has moved on; the list is refreshed at its own pace."""
        if changes.phase:
            self._look()

    def _look(self) -> None:
        app = app_of(self)
        project = app.project
        if not self.is_active:
            return
        if project is None:
            self._show([])
            return
        app.background.start(lambda: runs_of(project), self._show, group="runs")

    def _show(self, runs: list[Run]) -> None:
        app = app_of(self)
        self._loaded = True
        self._runs = {str(run.folder): run for run in runs}
        self.query_one("#runs").display = bool(runs)
        empty = self.query_one("#runs-empty", Plain)
        empty.display = not runs
        where = (
            "No runs yet. Press 3, then enter, to start one."
            if app.project
            else "No project here. Press 3 to make one."
        )
        empty.show(where)
        width = self.query_one("#runs-list").size.width
        self.query_one("#runs-heading", Plain).show(
            join("", Text("  "), heading(max(0, width - 2), app.palette), gap="")
        )
        rows = [
            Row(key, partial(self._line, run), search=f"{run.state.model} {run.id} {run.phase} {run.state.size}")
            for key, run in self._runs.items()
        ]
        self.query_one("#runs-list", PickList).show(rows)
        alive = sum(run.alive for run in runs)
        words = figures.counted(len(runs), "run") + (f", {alive} going" if alive else "")
        self.query_one("#runs-title", PaneTitle).show(state=words if runs else "")
        self._show_detail()
        self.refresh_bindings()

    def _line(self, run: Run, width: int) -> Text:
        app = app_of(self)
        return run_line(run, width, app.palette, app.glyphs)

    @property
    def marked(self) -> Run | None:
        """The run under the cursor."""
        return self._runs.get(self.query_one("#runs-list", PickList).marked or "")

    @on(PickList.Marked)
    def _marked(self, event: PickList.Marked) -> None:
        event.stop()
        self._show_detail()
        self.refresh_bindings()

    # ---- detail

    def _show_detail(self) -> None:
        run = self.marked
        if run is None:
            return
        current = self._detail
        if current is not None and current.run.folder == run.folder and current.run.state.updated == run.state.updated:
            return

        def load() -> _Detail:
            digest, reader = open_digest(run.folder)
            reader.close()
            return _Detail(run, digest)

        app_of(self).background.start(load, self._draw_detail, group="detail")

    def _draw_detail(self, detail: _Detail) -> None:
        app = app_of(self)
        self._detail = detail
        run, digest = detail.run, detail.digest
        chart = self.query_one("#runs-chart", LossChart)
        options = ChartOptions(unit=app.settings.chart_unit, log=app.settings.chart_log)
        chart.show(
            lambda width, height: figure_of(digest, [], options, width, height),
            title=plain(run.id, app.palette.strong), note=chart_note(digest, options, app.palette),
            empty="No step was finished.",
        )  # fmt: skip
        self.query_one("#runs-facts", Plain).show(_facts(detail, self))

    # ---- keys

    def go_back(self) -> bool:
        """Close the filter."""
        if self.query_one("#runs-filter", FilterBar).close():
            self.query_one("#runs-list").focus()
            return True
        return False

    def hidden(self, identity: str) -> bool:
        """Only what can be done with the marked run."""
        run = self.marked
        if identity == "runs.stop":
            return run is None or not run.alive
        if identity == "runs.continue":
            return run is None or not run.can_continue
        if identity == "runs.delete":
            return run is None or run.alive
        return run is None

    def _need(self) -> Run | None:
        run = self.marked
        if run is None:
            app_of(self).notify("There is no run here.", severity="warning")
        return run

    def action_attach(self) -> None:
        """Watch it on the Train screen."""
        app = app_of(self)
        if run := self._need():
            app.follow(run.folder, then=lambda: app.show_screen("train"))

    def action_stop(self) -> None:
        """Finish the step, save, stop."""
        app = app_of(self)
        if run := self._need():
            if not run.alive:
                app.notify("This run has ended.", severity="warning")
            else:
                run_control.send(app, run.folder, "stop")
                app.notify(f"{run.state.model} finishes the step, saves, and stops.", timeout=4)

    def action_continue_run(self) -> None:
        """Go on with it."""
        app = app_of(self)
        if run := self._need():
            if not run.can_continue:
                app.notify("It is still going." if run.alive else "It is finished.", severity="warning")
            else:
                run_control.continue_run(app, run.folder)
                app.show_screen("train")

    def action_overlay(self) -> None:
        """Draw its curve beside the watched one's, or no longer."""
        from forge_tui.overlays import set_overlays
        from forge_tui.screens.overlay import MOST

        app = app_of(self)
        run = self._need()
        if run is None:
            return
        if app.view is None or app.view.folder == run.folder:
            app.notify("Watch another run first (enter); then this one can be drawn beside it.", severity="warning")
            return
        now = [other.folder for other in app.overlays]
        chosen = [folder for folder in now if folder != run.folder] if run.folder in now else [*now, run.folder][-MOST:]
        said = "is drawn beside the watched run" if run.folder in chosen else "is no longer drawn"
        set_overlays(app, chosen, lambda: app.notify(f"{run.id} {said}.", timeout=4))

    def action_delete(self) -> None:
        """To the trash, after a question."""
        app = app_of(self)
        run = self._need()
        if run is None:
            return
        if run.alive:
            app.notify("This run is going. Stop it first (s).", severity="warning")
            return
        from forge_tui.screens.confirm import Confirm

        def answer(yes: bool | None) -> None:
            if yes:
                self._delete(run)

        what = "its curve, log, samples and checkpoints. The model itself stays."
        detail = f"{run.state.model}, step {run.state.step:,}: {what}"
        app.push_screen(Confirm(f"Move run {run.id} to the trash?", detail=detail, yes="Delete"), answer)

    def _delete(self, run: Run) -> None:
        app = app_of(self)
        project = app.project
        if project is None:
            return
        if app.view is not None and app.view.folder == run.folder:
            app.unfollow()

        def done(place: Path) -> None:
            self._deleted.append(place)
            app.notify(f"{run.id} is in the trash. U brings it back.", timeout=6)
            self._look()

        app.background.start(lambda: to_trash(project, run), done, group="delete")

    def action_undo(self) -> None:
        """Bring the last one back."""
        app = app_of(self)
        if not self._deleted:
            app.notify("Nothing was deleted here.", timeout=3)
            return
        place = self._deleted.pop()
        app.background.start(lambda: restore(place), lambda _: self._look(), group="delete")

    def action_filter(self) -> None:
        """Narrow the list."""
        self.query_one("#runs-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def filtered(self, event: FilterBar.Changed) -> None:
        """Show the runs that contain the text."""
        event.stop()
        self.query_one("#runs-list", PickList).filter(event.text)
        if not self.query_one("#runs-filter", FilterBar).is_open:
            self.query_one("#runs-list").focus()


def _facts(detail: _Detail, screen: RunsScreen) -> Text:
    app = app_of(screen)
    palette, state, digest = app.palette, detail.run.state, detail.digest
    gap = "   "
    steps = f"step {state.step:,}/{state.steps:,}" if state.steps else "no step yet"
    best = f"best val {figures.loss(state.best_val_bpb)}" if state.best_val_bpb is not None else ""
    lines = [
        join(f"epoch {state.epoch:.1f}/{state.epochs}", steps, best, gap=gap),
        join(
            f"ran {figures.duration(state.seconds)}", f"{figures.count(state.tokens)} tokens",
            figures.counted(len(digest.samples), "sample"), gap=gap,
        ),
        plain("data " + one_line(", ".join(state.data), 100), palette.quiet),
    ]  # fmt: skip
    if state.text:
        words = f"stopped by {state.text}" if detail.run.phase == "stopped" else state.text
        lines.append(plain(one_line(words, 300), palette.warning))
    if digest.samples:
        sample = digest.samples[-1]
        lines.append(plain(one_line(sample.prompt, 60), palette.strong))
        lines.append(plain(one_line(sample.text, 300), palette.text))
    width = max(20, screen.query_one("#runs-facts").size.width)
    return Text("\n", end="").join(row for line in lines for row in wrapped(line, width, indent=" "))
