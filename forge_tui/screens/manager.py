"""Manager: every model of the project, what it is and where it came from, and all that can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.errors import ForgeError
from engine.library.catalogue import ModelEntry, list_models, stamp_of
from engine.library.disk_use import DiskUse, disk_use
from engine.library.lineage import Branch, tree
from engine.library.verification import Finding, verify
from engine.project import Project
from forge_tui import figures, model_words
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.model_actions import ModelActions
from forge_tui.run_view import Changes
from forge_tui.screens.base import ForgeScreen
from forge_tui.screens.model_rows import heading, model_line, name_width
from forge_tui.text import join, plain
from forge_tui.widgets.fact_list import Fact, FactList
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.history_chart import HistoryChart
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain

REFRESH_SECONDS = 3.0
PROGRESS_SECONDS = 0.5
ORDERS = ("family", "best", "newest")
"""Each below the one it came from · lowest bits per byte first · trained last first."""


class ManagerScreen(ForgeScreen):
    """A list as a tree, and everything about the marked model."""

    HELP_SCOPES = ("manager", "list", "text", "filter")
    BINDINGS = bindings("manager", "filter")

    def __init__(self) -> None:
        super().__init__()
        self._branches: dict[str, Branch] = {}
        self._use: DiskUse | None = None
        self._stamp: object = None
        """Of what the list was made from."""
        self._order = 0
        self._shown: tuple[object, ...] = ()
        self._verified: dict[str, list[Finding]] = {}
        self._name_width = 0
        self._verifying = ""
        """Name of the model that is being checked."""
        self._percent = 0
        self._mark = ""
        """Where the cursor goes once it is there."""
        self._actions = ModelActions(self, self._changed)

    def body(self) -> ComposeResult:
        """List above (or at the left), facts below (or at the right)."""
        with Horizontal(id="manager"):
            with Vertical(id="manager-left"):
                yield PaneTitle("models", id="manager-title")
                yield Plain(id="manager-heading")
                yield PickList(id="manager-list")
                yield FilterBar(id="manager-filter")
            with Vertical(id="manager-right"):
                yield PaneTitle("", id="manager-name")
                yield FactList(id="manager-facts")
                yield HistoryChart(id="manager-chart")
        yield Plain(id="manager-empty", classes="empty")

    def on_mount(self) -> None:
        """Look again from time to time, while the screen is shown."""
        self.set_interval(REFRESH_SECONDS, self._look_if_changed)
        self.set_interval(PROGRESS_SECONDS, self._tell_progress)
        self.query_one("#manager-list").focus()

    def arrived(self) -> None:
        """Look at once."""
        self._shown = ()
        self._look()
        self._measure()

    def run_changed(self, changes: Changes) -> None:
        """A run that ends may have published a model."""
        if changes.phase:
            self._changed()

    # ---- what there is

    def _look(self) -> None:
        app = app_of(self)
        project = app.project
        if not self.is_current:
            return
        if project is None:
            self._show([])
            return
        app.background.start(lambda: (stamp_of(project), list_models(project)), self._found, group="models")

    def _look_if_changed(self) -> None:
        """Reading every model costs time that a training needs: only when there may be something new."""
        app, project = app_of(self), app_of(self).project
        if self.is_current and project is not None:
            app.background.start(lambda: stamp_of(project), self._compare_stamps, group="stamp")

    def _compare_stamps(self, stamp: object) -> None:
        if stamp != self._stamp:
            self._look()
        else:
            self.query_one("#manager-list").refresh()  # "3 min ago" moves on

    def _found(self, found: tuple[object, list[ModelEntry]]) -> None:
        self._stamp = found[0]
        self._show(found[1])

    def _measure(self) -> None:
        app = app_of(self)
        project = app.project
        if project is not None:
            app.background.start(lambda: disk_use(project), self._measured, group="disk use")

    def _measured(self, use: DiskUse) -> None:
        self._use = use
        self._shown = ()
        self._title()
        self._show_facts()

    def _changed(self, mark: str = "") -> None:
        """Something was done to the models: look again, and put the cursor on the one it was done to."""
        self._mark = mark
        self._shown = ()
        self._verified = {}
        self._look()
        self._measure()

    def _show(self, entries: list[ModelEntry]) -> None:
        app = app_of(self)
        order = ORDERS[self._order]
        if order == "family":
            branches = tree(entries)
        else:
            branches = [Branch(entry, 0, ()) for entry in sorted(entries, key=_sorting(order))]
        self._branches = {branch.entry.name: branch for branch in branches}
        self.query_one("#manager").display = bool(entries)
        empty = self.query_one("#manager-empty", Plain)
        empty.display = not entries
        empty.show(
            "No models yet. Press 2 to choose a size, or 3 and then enter to train the job of forge.toml."
            if app.project
            else "No project here. Press 3 to make one."
        )
        pick = self.query_one("#manager-list", PickList)
        self._name_width = name_width(branches, indent=order == "family")
        self._head()
        pick.show([Row(name, partial(self._line, branch), _search(branch)) for name, branch in self._branches.items()])
        if self._mark in self._branches:
            pick.mark(self._mark)
            self._mark = ""
        self._title()
        self._show_facts()
        self.refresh_bindings()

    def _head(self) -> None:
        width = max(0, self.query_one("#manager-list", PickList).size.width - 2)
        line = heading(width, self._name_width, app_of(self).palette)
        self.query_one("#manager-heading", Plain).show(join(Text("  "), line, gap=""))

    def on_resize(self) -> None:
        """The columns depend on the width."""
        self.call_after_refresh(self._head)

    def _line(self, branch: Branch, width: int) -> Text:
        app, family = app_of(self), ORDERS[self._order] == "family"
        return model_line(branch, width, self._name_width, app.palette, app.glyphs, indent=family)

    def _title(self) -> None:
        count = len(self._branches)
        words = [f"{count} model" + ("" if count == 1 else "s")]
        if self._use is not None:
            words.append(figures.size(self._use.total))
            if self._use.trash:
                words.append(f"trash {figures.size(self._use.trash)}")
        if self._order:
            words.append(f"{ORDERS[self._order]} first")
        self.query_one("#manager-title", PaneTitle).show(state=", ".join(words) if count else "")

    # ---- the marked one

    @property
    def marked(self) -> ModelEntry | None:
        """The model under the cursor."""
        branch = self._branches.get(self.query_one("#manager-list", PickList).marked or "")
        return branch.entry if branch else None

    @on(PickList.Marked)
    def _marked(self, event: PickList.Marked) -> None:
        event.stop()
        self._show_facts()
        self.refresh_bindings()

    def _show_facts(self) -> None:
        entry = self.marked
        state = (entry, self._verifying, self._percent, tuple(self._verified), app_of(self).theme)
        if entry is None or state == self._shown:
            return
        keep = bool(self._shown) and self._shown[0] is not None and getattr(self._shown[0], "name", "") == entry.name
        self._shown = state
        facts: list[Fact] = [*model_words.facts(entry)]
        use = next((use for use in self._use.models if use.name == entry.name), None) if self._use else None
        if use is not None:
            facts.append(("disk", model_words.disk_words(use)))
        self.query_one("#manager-facts", FactList).show(facts, keep=keep)
        if not keep:
            self._show_curve(entry)
        self.query_one("#manager-name", PaneTitle).show(entry.name, self._check_words(entry))

    def _show_curve(self, entry: ModelEntry) -> None:
        """The curve of its newest run, where there is room for one."""
        chart, project = self.query_one("#manager-chart", HistoryChart), app_of(self).project
        if chart.display and project is not None:
            folder = project.runs(entry.name) / entry.run if entry.run else None
            chart.show_run(folder, f"{entry.name} has no run of its own.")

    def _check_words(self, entry: ModelEntry) -> str | Text:
        app = app_of(self)
        if self._verifying == entry.name:
            return f"checking {self._percent}%"
        if entry.name not in self._verified:
            return ""
        bad = sum(finding.verdict == "bad" for finding in self._verified[entry.name])
        if bad:
            return plain(f"{app.glyphs.bad} {bad} of its parts damaged", app.palette.error)
        return plain(f"{app.glyphs.good} every byte checked", app.palette.good)

    # ---- keys

    def go_back(self) -> bool:
        """Close the filter; then leave the facts for the list."""
        if self.query_one("#manager-filter", FilterBar).close():
            self.query_one("#manager-list").focus()
            return True
        if self.query_one("#manager-facts").has_focus:
            self.query_one("#manager-list").focus()
            return True
        return False

    def hidden(self, identity: str) -> bool:
        """Only what can be done with the marked model."""
        entry = self.marked
        if identity in ("manager.trash", "manager.undo"):
            return False
        if entry is None:
            return identity.startswith("manager.")
        if entry.alive and identity in ("manager.rename", "manager.clone", "manager.delete"):
            return True
        return not entry.loadable and identity in ("manager.clone", "manager.compare")

    def _need(self, work: Callable[[Project, ModelEntry], None]) -> None:
        entry, project = self.marked, app_of(self).project
        if entry is None or project is None:
            app_of(self).notify("There is no model here.", severity="warning", timeout=3)
        else:
            work(project, entry)

    def action_talk(self) -> None:
        """Talk to it on the Chat screen."""
        self._need(lambda project, entry: self._actions.talk(entry))

    def action_checkpoints(self) -> None:
        """Its checkpoints."""
        self._need(self._actions.checkpoints)

    def action_compare(self) -> None:
        """Beside another one."""
        others = [branch.entry for branch in self._branches.values()]
        self._need(lambda project, entry: self._actions.compare(project, entry, others))

    def action_rename(self) -> None:
        """Another name."""
        self._need(self._actions.rename)

    def action_clone(self) -> None:
        """A copy."""
        self._need(self._actions.clone)

    def action_note(self) -> None:
        """Write something down."""
        self._need(self._actions.note)

    def action_tags(self) -> None:
        """Words to find it by."""
        self._need(self._actions.tags)

    def action_delete(self) -> None:
        """To the trash, after a question."""
        self._need(self._actions.delete)

    def action_undo(self) -> None:
        """Bring the last one back."""
        project = app_of(self).project
        if project is not None:
            self._actions.undo(project)

    def action_trash(self) -> None:
        """What lies in the trash."""
        project = app_of(self).project
        if project is not None:
            self._actions.trash(project)

    def action_disk(self) -> None:
        """Where the space goes."""
        project = app_of(self).project
        if project is not None:
            self._actions.disk(project)

    def action_verify(self) -> None:
        """Check every byte of it."""
        self._need(self._verify)

    def _verify(self, project: Project, entry: ModelEntry) -> None:
        app = app_of(self)
        if self._verifying:
            app.notify("Another model is being checked.", timeout=3)
            return
        self._verifying, self._percent = entry.name, 0

        def progress(done: int, total: int) -> None:
            self._percent = 100 * done // max(1, total)

        def done(findings: list[Finding]) -> None:
            self._verifying = ""
            self._verified[entry.name] = findings
            self._show_facts()
            self._actions.findings(entry, findings)

        def failed(error: ForgeError) -> None:
            self._verifying = ""
            self._show_facts()
            app.show_error(error)

        app.background.start(lambda: verify(project, entry.name, progress), done, failed)
        self._show_facts()

    def _tell_progress(self) -> None:
        if self._verifying:
            self._show_facts()

    def action_order(self) -> None:
        """Another order."""
        self._order = (self._order + 1) % len(ORDERS)
        self._show([branch.entry for branch in self._branches.values()])

    def action_filter(self) -> None:
        """Narrow the list."""
        self.query_one("#manager-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def filtered(self, event: FilterBar.Changed) -> None:
        """Show the models that contain the text."""
        event.stop()
        self.query_one("#manager-list", PickList).filter(event.text)
        if not self.query_one("#manager-filter", FilterBar).is_open:
            self.query_one("#manager-list").focus()


def _sorting(order: str) -> Callable[[ModelEntry], tuple[bool, float, str]]:
    def best(entry: ModelEntry) -> tuple[bool, float, str]:
        return entry.val_bpb is None, entry.val_bpb or 0.0, entry.name

    def newest(entry: ModelEntry) -> tuple[bool, float, str]:
        return entry.trained is None, -(entry.trained or 0.0), entry.name

    return best if order == "best" else newest


def _search(branch: Branch) -> str:
    entry = branch.entry
    parts = [entry.name, entry.size, entry.note, entry.parent, *entry.tags, *(Path(f.path).name for f in entry.data)]
    return "\n".join(parts)
