"""Train: the loss curve, the numbers, the log, samples and plan of one run, and the keys that steer it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.events import Control
from forge_tui.access import app_of
from forge_tui.chart import SMOOTHING_WORDS, ZOOMS, ChartOptions, figure_of
from forge_tui.chart_words import chart_legend, chart_note, chart_title
from forge_tui.keys import bindings
from forge_tui.outcome import CONTINUES, outcome
from forge_tui.run_view import Changes, RunView
from forge_tui.screens import BY_NAME
from forge_tui.screens.steering import SteeringScreen
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.log_pane import LogPane, lines_of
from forge_tui.widgets.loss_chart import LossChart
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.plain import Plain
from forge_tui.widgets.plan_pane import PlanPane
from forge_tui.widgets.run_facts import RunFacts
from forge_tui.widgets.samples_pane import SamplesPane
from forge_tui.widgets.start_panel import StartPanel

Pane = Literal["log", "samples", "plan"]
LIVE_SECONDS = 2.0
"""How often to look, while nothing is watched, whether some run has been started elsewhere."""
PANES: tuple[Pane, ...] = ("log", "samples", "plan")


class TrainScreen(SteeringScreen):
    """Watches and steers `app.view`."""

    HELP_SCOPES = ("train", "chart", "log")
    BINDINGS = bindings("train", "chart", "log")

    def __init__(self) -> None:
        super().__init__()
        self._options = ChartOptions()
        self._view: RunView | None = None
        self._pane: Pane = "log"
        self._chart_stale = False

    def body(self) -> ComposeResult:
        """The panes; which of them are shown depends on the run and the size."""
        yield StartPanel(id="train-start")
        with Vertical(id="train-run"):
            yield LossChart(id="chart")
            yield RunFacts(id="facts")
            yield Plain(id="outcome")
            with Horizontal(id="lower"):
                with Vertical(classes="pane", id="pane-log"):
                    yield PaneTitle("log", id="log-title")
                    yield LogPane(id="log")
                    yield FilterBar(id="log-filter")
                with Vertical(classes="pane", id="pane-samples"):
                    yield PaneTitle("samples", id="samples-title")
                    yield SamplesPane(id="samples")
                with Vertical(classes="pane", id="pane-plan"):
                    yield PaneTitle("plan", id="plan-title")
                    yield PlanPane(id="plan")

    def on_mount(self) -> None:
        """Take up the remembered way to look at charts; notice runs that are started elsewhere."""
        self.set_interval(LIVE_SECONDS, self._look_for_live)
        settings = app_of(self).settings
        self._options = ChartOptions(
            unit=settings.chart_unit, log=settings.chart_log, smoothing=min(2, max(0, settings.smoothing)),
            axis=settings.chart_axis,
        )  # fmt: skip

    # ---- showing

    def arrived(self) -> None:
        """Show the watched run, or how to start one."""
        app = app_of(self)
        view = app.view
        self.query_one("#train-start").display = view is None
        self.query_one("#train-run").display = view is not None
        if view is not self._view:
            self._view = view
            self._options = replace(self._options, zoom=0, behind=0.0)
            self._fill()
        if view is None:
            self.query_one(StartPanel).show(starting=self.starting)
            self._look_for_live()
        self._arrange()
        self._refresh_all()
        self.refresh_bindings()

    def _look_for_live(self) -> None:
        if self.is_active and self.view is None and not self.starting:
            app_of(self).follow_live()

    def _fill(self) -> None:
        log = self.query_one("#log", LogPane)
        log.clear()
        if self._view is not None:
            digest = self._view.digest
            log.add(lines_of(digest.news))
            self.query_one("#plan", PlanPane).show(digest.plan, alive=self._view.run.alive)
            self._show_samples(self._view)

    def _show_samples(self, view: RunView) -> None:
        plan = view.digest.plan
        table = plan.job.get("eval") if plan is not None else None
        every = table.get("every") if isinstance(table, dict) and table.get("prompts") else 0
        shown = every if isinstance(every, int) else 0
        self.query_one("#samples", SamplesPane).show(view.digest.samples, alive=view.run.alive, every=shown)

    def run_changed(self, changes: Changes) -> None:
        """Bring what has changed up to date."""
        view = self._view
        if view is None:
            return
        events_ = sorted([*changes.news, *changes.progress], key=lambda event: event.seq)
        self.query_one("#log", LogPane).add(lines_of(events_))
        self._title_log()
        for event in changes.news:
            if isinstance(event, Control) and not event.accepted:
                app_of(self).notify(event.text, title=f"{event.command.replace('_', ' ')} refused", severity="warning")
        if changes.samples or changes.phase:
            self._show_samples(view)
        if changes.phase:
            self.query_one("#plan", PlanPane).show(view.digest.plan, alive=view.run.alive)
            self.refresh_bindings()
        if changes.numbers or changes.phase:
            self.query_one("#facts", RunFacts).refresh()
        if changes.advice or changes.phase:
            self._show_outcome()
        self._chart_stale = self._chart_stale or changes.curve
        chart = self.query_one("#chart", LossChart)
        if self._chart_stale and (chart.due or changes.phase):
            self._draw_chart()

    def _refresh_all(self) -> None:
        if self._view is None:
            return
        self.query_one("#facts", RunFacts).refresh()
        self._show_outcome()
        self._title_log()
        self._draw_chart()

    def _show_outcome(self) -> None:
        app = app_of(self)
        text = None
        if self._view is not None:
            text = outcome(
                self._view, app.palette, app.glyphs, screens=frozenset(BY_NAME), width=self.size.width,
                compact=self.size.height < 24,
            )  # fmt: skip
        widget = self.query_one("#outcome", Plain)
        widget.display = text is not None
        widget.show(text if text is not None else "")

    def _title_log(self) -> None:
        self.query_one("#log-title", PaneTitle).show(state=self.query_one("#log", LogPane).state)

    def _draw_chart(self) -> None:
        view = self._view
        if view is None:
            return
        self._chart_stale = False
        app = app_of(self)
        chart = self.query_one("#chart", LossChart)
        digest, options = view.digest, self._options
        others = [other.digest for other in app.overlays]
        chart.show(
            lambda width, height: figure_of(digest, others, options, width, height),
            title=chart_title(digest, options, app.palette, app.glyphs),
            legend=chart_legend(digest, app.overlays, app.palette, app.glyphs),
            note=chart_note(digest, options, app.palette),
            empty="The first steps are on their way." if view.run.alive else "No step was finished.",
        )

    def _arrange(self) -> None:
        """Which lower panes are shown: one, or two beside each other where there is room."""
        wide = app_of(self).size.width >= 110
        shown = {self._pane} if not wide else {"log", self._pane if self._pane != "log" else "samples"}
        for pane in PANES:
            self.query_one(f"#pane-{pane}").display = pane in shown

    def on_resize(self, event: events.Resize) -> None:
        """The panes that fit."""
        self._arrange()

    def on_descendant_focus(self) -> None:
        """Mark the pane that has the focus."""
        self._mark_focus()

    def on_descendant_blur(self) -> None:
        """Unmark it."""
        self._mark_focus()

    def _mark_focus(self) -> None:
        focused = self.focused.id if self.focused is not None else None
        for pane in PANES:
            self.query_one(f"#{pane}-title", PaneTitle).show(active=focused == pane)

    # ---- what keys are called, and why they cannot work now

    def label_of(self, identity: str) -> str | None:
        """The bottom line's words, where the state of the run makes better ones."""
        view = self._view
        if identity == "train.next":
            if view is None:
                return "start" if app_of(self).project else "make a project"
            return "continue"
        if identity == "train.pause" and view is not None and view.phase == "paused":
            return "go on"
        if identity == "train.stop" and view is not None and view.phase == "stopping":
            return "stop now"
        return None

    def hidden(self, identity: str) -> bool:
        """Keys that the bottom line need not show now."""
        view = self._view
        if view is None:
            return identity != "train.next"
        if identity == "train.next":
            return view.run.alive or view.phase not in CONTINUES
        steers = ("train.pause", "train.stop", "train.save", "train.rate", "train.sample")
        return identity in steers and not view.run.alive

    def action_overlay(self) -> None:
        """Choose runs to draw beside this one."""
        from forge_tui.overlays import choose_overlays

        choose_overlays(app_of(self), self._draw_chart)

    # ---- keys that change what is shown

    def action_view(self) -> None:
        """Next lower pane."""
        panes = PANES if app_of(self).size.width < 110 else PANES[1:]
        at = panes.index(self._pane) if self._pane in panes else 0
        self._show_pane(panes[(at + 1) % len(panes)])

    def _show_pane(self, pane: Pane) -> None:
        self._pane = pane
        self._arrange()
        self._mark_focus()

    def show_samples(self) -> None:
        """Where a sample that was asked for appears."""
        self._show_pane("samples")

    def show_starting(self) -> None:
        """Say that a run is being prepared."""
        if self.view is None:
            self.query_one(StartPanel).show(starting=self.starting)

    def begin(self) -> None:
        """Make a project, or start its job."""
        self.query_one(StartPanel).proceed()

    def action_maximise(self) -> None:
        """Give the focused pane (or the chart) the whole body, or take it back."""
        run = self.query_one("#train-run")
        if run.has_class("-maximised"):
            run.remove_class("-maximised", "-chart", "-lower")
        else:
            focused = self.focused.id if self.focused is not None else "chart"
            run.add_class("-maximised", "-chart" if focused == "chart" else "-lower")

    def go_back(self) -> bool:
        """Close the search, the maximised pane, the zoom; in this order."""
        run = self.query_one("#train-run")
        if self.query_one("#log-filter", FilterBar).close():
            self.set_focus(None)
            return True
        if run.has_class("-maximised"):
            self.action_maximise()
            return True
        if self._options.zoom:
            self._change_chart(replace(self._options, zoom=0, behind=0.0))
            return True
        return False

    def _change_chart(self, options: ChartOptions) -> None:
        self._options = options
        self._draw_chart()

    def _remember_chart(self, options: ChartOptions) -> None:
        self._change_chart(options)
        app_of(self).remember_settings(
            chart_unit=options.unit, chart_log=options.log, chart_axis=options.axis, smoothing=options.smoothing
        )

    def action_zoom(self) -> None:
        """Closer, and after the closest all again."""
        wrap = self._options.zoom == len(ZOOMS) - 1
        self._change_chart(replace(self._options, zoom=0, behind=0.0) if wrap else self._options.zoomed(1))

    def action_closer(self) -> None:
        """Zoom in."""
        self._change_chart(self._options.zoomed(1))

    def action_wider(self) -> None:
        """Zoom out."""
        self._change_chart(self._options.zoomed(-1))

    def action_earlier(self) -> None:
        """Half a chart back."""
        self._change_chart(self._options.moved(-0.5))

    def action_later(self) -> None:
        """Half a chart on."""
        self._change_chart(self._options.moved(0.5))

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self._remember_chart(replace(self._options, log=not self._options.log))

    def action_unit(self) -> None:
        """Bits per byte, or nats per token."""
        self._remember_chart(replace(self._options, unit="loss" if self._options.unit == "bpb" else "bpb"))

    def action_smooth(self) -> None:
        """Next strength of smoothing."""
        options = replace(self._options, smoothing=(self._options.smoothing + 1) % 3)
        self._remember_chart(options)
        app_of(self).notify(f"Smoothing: {SMOOTHING_WORDS[options.smoothing]}", timeout=2)

    def action_axis(self) -> None:
        """Epochs or steps."""
        self._remember_chart(replace(self._options, axis="step" if self._options.axis == "epoch" else "epoch"))

    # ---- the lower pane

    def _lower(self) -> LogPane | SamplesPane | PlanPane:
        """The pane that the arrow keys move: the focused one, else the one that `v` chose."""
        focused = self.focused
        if isinstance(focused, LogPane | SamplesPane | PlanPane):
            return focused
        kinds = {"log": LogPane, "samples": SamplesPane, "plan": PlanPane}
        found = self.query_one(f"#{self._pane}", kinds[self._pane])
        assert isinstance(found, LogPane | SamplesPane | PlanPane)
        return found

    def _move(self, lines: int) -> None:
        self._lower().move(lines)
        self._title_log()

    def action_scroll_down(self) -> None:
        """One line down."""
        self._move(1)

    def action_scroll_up(self) -> None:
        """One line up."""
        self._move(-1)

    def action_page_down(self) -> None:
        """One page down."""
        self._move(self._lower().page())

    def action_page_up(self) -> None:
        """One page up."""
        self._move(-self._lower().page())

    def action_scroll_home(self) -> None:
        """To the first line."""
        self._move(-1_000_000)

    def action_follow(self) -> None:
        """To the newest line."""
        self._move(1_000_000)

    def action_search(self) -> None:
        """Narrow the log."""
        if self.view is not None:
            self._show_pane("log")
            self.query_one("#log-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def searched(self, event: FilterBar.Changed) -> None:
        """Show the lines that contain the text."""
        event.stop()
        self.query_one("#log", LogPane).search(event.text)
        self._title_log()

    def action_level(self) -> None:
        """Next selection of levels."""
        if self.view is not None:
            self.query_one("#log", LogPane).next_level()
            self._title_log()
