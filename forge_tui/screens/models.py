"""Models: which size to train on this data and this machine, or which model to go on with or to grow."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from engine.errors import ForgeError, UsageError
from engine.library.catalogue import ModelEntry
from engine.library.names import free_folder
from engine.sizes import SIZES, name_of
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.forecast import Outlook, outlook
from forge_tui.job_start import start_from
from forge_tui.keys import bindings
from forge_tui.model_table import growth_of, heading, model_facts, model_row, rung_facts, rung_row
from forge_tui.run_view import Changes
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choice, Choose
from forge_tui.screens.planning import PlanningScreen
from forge_tui.text import one_line, plain
from forge_tui.widgets.block_list import Block, BlockList
from forge_tui.widgets.fact_list import FactList
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.plain import Plain

RUNG, MODEL = "size:", "model:"


class ModelsScreen(PlanningScreen):
    """The ladder and the models above, all about the marked one below."""

    HELP_SCOPES = ("models", "list", "filter")
    BINDINGS = bindings("models", "filter")

    def __init__(self) -> None:
        super().__init__()
        self._outlook: Outlook | None = None
        self._placed = False

    def body(self) -> ComposeResult:
        """List and facts."""
        with Vertical(id="models"):
            yield PaneTitle("models", id="models-title")
            yield Plain(id="models-heading")
            yield BlockList(id="models-list")
            yield FilterBar(id="models-filter")
            yield PaneTitle("", id="models-name")
            yield FactList(id="models-facts")
        yield Plain(id="models-empty", classes="empty")

    def on_mount(self) -> None:
        """The list has the keys."""
        super().on_mount()
        self.query_one("#models-list").focus()

    def run_changed(self, changes: Changes) -> None:
        """A run that starts or ends changes what there is."""
        if changes.phase:
            self.arrived()

    # ---- showing

    def planned(self) -> None:
        """Draw everything anew."""
        app = app_of(self)
        problem = self._problem()
        self.query_one("#models").display = not problem
        empty = self.query_one("#models-empty", Plain)
        empty.display = bool(problem)
        empty.show(problem)
        if problem or self.job is None or self.amount is None or self.machine is None or self.found is None:
            return
        self._outlook = outlook(self.job, self.amount, self.machine, self.found.runs)
        self._show_title()
        width = self.query_one("#models-list").size.width
        self.query_one("#models-heading", Plain).show(heading(width, app.palette))
        blocks = [
            Block(RUNG + rung.size, partial(self._rung_lines, rung.size), search=f"{rung.size} size")
            for rung in self._outlook.rungs
        ]
        models = list(self.found.models)
        if models:
            title = plain("continue or grow", app.palette.quiet)
            blocks.append(Block("models", lambda width: [Text(end=""), title], heading=True))
            blocks += [
                Block(MODEL + entry.name, partial(self._model_lines, entry), search=f"{entry.name} {entry.size}")
                for entry in models
            ]
        found = self.query_one("#models-list", BlockList)
        found.show(blocks)
        if not self._placed:
            self._placed = True
            size = self.job.model.size
            found.mark(RUNG + (size if isinstance(size, str) else self._outlook.recommended))
        self._show_facts()
        self.refresh_bindings()

    def _problem(self) -> str:
        if app_of(self).project is None:
            return "No project here. Press 3 to make one."
        if self.broken is not None:
            return f"forge.toml cannot be used.\n{self.broken.where}\n{self.broken.text} {self.broken.fix}"
        return "" if self.job is not None else "Reading ..."

    def _show_title(self) -> None:
        from forge_tui.job_data import data_name

        job, amount, app = self.job, self.amount, app_of(self)
        assert job is not None and amount is not None
        sign = "" if amount.exact and amount.certain else app.glyphs.about
        count = job.train.epochs
        epochs = "as many epochs as it learns from" if count == "auto" else f"{count} epoch{'s' if count != 1 else ''}"
        name = f"{data_name(job)}, " if self.size.width >= 80 else ""
        words = amount.problem or f"{name}{sign}{figures.count(amount.tokens)} tokens, {epochs}"
        self.query_one("#models-title", PaneTitle).show(state=f"for {words}" if not amount.problem else words)

    def _rung_lines(self, size: str, width: int) -> list[Text]:
        app, found = app_of(self), self._outlook
        rung = next((one for one in found.rungs if one.size == size), None) if found is not None else None
        if rung is None or found is None or self.job is None:
            return [Text(end="")]
        return [rung_row(rung, found, self.job.model.size == size, width, app.palette, app.glyphs)]

    def _model_lines(self, entry: ModelEntry, width: int) -> list[Text]:
        app = app_of(self)
        sizes = self._growth(entry)
        words = f"w grows it to {sizes[0]}" if sizes else ""
        line = model_row(entry, words, self._name_room(width), width, app.palette, app.glyphs)
        if self.job is not None and self.job.model.name == entry.name:
            line = Text.assemble(line, ("  chosen", app.palette.accent), end="")
        return [line]

    def _name_room(self, width: int) -> int:
        longest = max((len(entry.name) for entry in self.found.models), default=0) if self.found else 0
        return min(max(longest, 16), 16 if width < 100 else 40)

    def _growth(self, entry: ModelEntry) -> list[str]:
        return growth_of(self.found.dimensions.get(entry.name)) if self.found is not None else []

    @on(BlockList.Marked, "#models-list")
    def _marked(self, event: BlockList.Marked) -> None:
        event.stop()
        self._show_facts()
        self.refresh_bindings()

    @property
    def marked(self) -> str:
        """The key of the row under the cursor."""
        return self.query_one("#models-list", BlockList).marked or ""

    @property
    def marked_model(self) -> ModelEntry | None:
        """The model under the cursor."""
        name = self.marked.removeprefix(MODEL)
        if not self.marked.startswith(MODEL) or self.found is None:
            return None
        return next((entry for entry in self.found.models if entry.name == name), None)

    def _show_facts(self) -> None:
        app = app_of(self)
        title, facts = self.query_one("#models-name", PaneTitle), self.query_one("#models-facts", FactList)
        entry = self.marked_model
        if entry is not None:
            title.show(title=one_line(entry.name, 40), state="a model that is there")
            facts.show(model_facts(entry, self._growth(entry), app.palette, app.glyphs))
            return
        found, size = self._outlook, self.marked.removeprefix(RUNG)
        rung = next((one for one in found.rungs if one.size == size), None) if found is not None else None
        if rung is None or found is None or self.amount is None or self.machine is None:
            return
        title.show(title=size, state=one_line(self.machine.name, 40))
        facts.show(rung_facts(rung, found, self.amount, self.machine, app.palette, app.glyphs))

    # ---- the bottom line

    def label_of(self, identity: str) -> str | None:
        """What enter does here."""
        if identity == "models.choose" and self.marked_model is not None:
            return "continue"
        return None

    def hidden(self, identity: str) -> bool:
        """Only what can be done with the marked row."""
        if self.job is None:
            return True
        entry = self.marked_model
        return identity == "models.grow" and (entry is None or not self._growth(entry))

    def go_back(self) -> bool:
        """Close the filter."""
        if self.query_one("#models-filter", FilterBar).close():
            self.query_one("#models-list").focus()
            return True
        return False

    def action_filter(self) -> None:
        """Narrow the list."""
        self.query_one("#models-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def filtered(self, event: FilterBar.Changed) -> None:
        """Show the rows that contain the text."""
        event.stop()
        self.query_one("#models-list", BlockList).filter(event.text)
        if not self.query_one("#models-filter", FilterBar).is_open:
            self.query_one("#models-list").focus()

    # ---- choosing

    def action_choose(self) -> None:
        """Train this size, or go on with this model."""
        if self.job is None:
            self._refuse()
            return
        entry = self.marked_model
        if entry is not None:
            self._continue(entry)
        elif self.marked.startswith(RUNG):
            self._choose_size(self.marked.removeprefix(RUNG))

    def _refuse(self) -> None:
        app_of(self).notify("forge.toml cannot be used; there is no job to change.", severity="warning")

    def _continue(self, entry: ModelEntry) -> None:
        app = app_of(self)
        if not entry.loadable or self.found is None:
            app.notify(entry.problem or f"{entry.name} has not finished its first run: see 6 Runs.", severity="warning")
            return
        dims = self.found.dimensions[entry.name]
        name = name_of(dims)
        size: Any = name if name in SIZES else dims
        self._change({"model.name": entry.name, "model.size": size, "train.method": "train"})

    def _choose_size(self, size: str) -> None:
        app, job, found = app_of(self), self.job, self._outlook
        rung = next((one for one in found.rungs if one.size == size), None) if found is not None else None
        if job is None or rung is None or found is None or self.found is None:
            return
        if rung.fit == "too large":
            best = f" The largest size that fits is {found.largest}." if found.largest else ""
            app.notify(f"{size} does not fit: it needs at least {rung.least / 1e9:.1f} GB.{best}", severity="warning")
            return
        present = self.found.dimensions.get(job.model.name)
        if present is None:
            method = "train" if job.train.method == "grow" else job.train.method
            self._change({"model.size": size, "train.method": method})
            return
        if job.model.size == size and job.train.method == "train":
            self.open_form()
            return
        self._ask_how(job.model.name, size, present == rung.dimensions, present.grows_to(rung.dimensions))

    def _ask_how(self, name: str, size: str, same: bool, grows: bool) -> None:
        """There is a model of this name: what becomes of it?"""
        choices = []
        if same:
            choices.append(Choice("train", "go on with it", "it learns the data on top of what it knows"))
        if grows:
            choices.append(Choice("grow", f"grow it to {size}", "exactly: it knows all it knew, then it trains on"))
        choices.append(Choice("new", "a new model", f"of size {size}, under another name; {name} stays as it is"))
        choices.append(Choice("build", "build it anew", f"models/{name} goes to the trash when the run has finished"))

        def answer(how: str | None) -> None:
            if how == "new":
                self._ask_name({"model.size": size, "train.method": "train"})
            elif how is not None:
                self._change({"model.size": size, "train.method": how})

        app_of(self).push_screen(Choose(f"There is a model {one_line(name, 40)} already", choices), answer)

    def action_grow(self) -> None:
        """Ask for the size to grow to."""
        app, entry = app_of(self), self.marked_model
        if entry is None:
            app.notify("Put the cursor on a model first; sizes do not grow.", timeout=4)
            return
        sizes = self._growth(entry)
        if not sizes or self.job is None:
            app.notify(f"{entry.name} cannot grow: there is no larger size for it.", severity="warning")
            return
        rungs = {rung.size: rung for rung in self._outlook.rungs} if self._outlook is not None else {}

        def about(size: str) -> str:
            rung = rungs[size]
            fit = {"fits": "", "tight": ", tight", "too large": ", does not fit here"}[rung.fit]
            return f"{rung.parameters:,} parameters, {rung.memory / 1e9:.1f} GB{fit}"

        def answer(size: str | None) -> None:
            if size is None:
                return
            if rungs[size].fit == "too large":
                app.notify(f"{size} does not fit into this machine.", severity="warning")
                return
            self._change({"model.name": entry.name, "model.size": size, "train.method": "grow"})

        choices = [Choice(size, size, about(size)) for size in sizes]
        app.push_screen(Choose(f"Grow {one_line(entry.name, 30)} to", choices), answer)

    def action_name(self) -> None:
        """Ask for the name of the model."""
        if self.job is None:
            self._refuse()
            return
        self._ask_name({})

    def _ask_name(self, changes: dict[str, Any]) -> None:
        app = app_of(self)
        project = app.project
        if project is None or self.job is None:
            return

        def check(text: str) -> None:
            if changes:
                free_folder(project, text)
            else:
                project.model(text)

        def answer(name: str | None) -> None:
            if name is not None:
                self._change({**changes, "model.name": name}, form=bool(changes))

        detail = "Its folder below models/. Lower-case letters, digits, dots, dashes and underscores."
        value = "" if changes else self.job.model.name
        app.push_screen(Ask("Name of the model", detail=detail, value=value, example="my-model", check=check), answer)

    def action_epochs(self) -> None:
        """Ask for the number of epochs."""
        if self.job is None:
            self._refuse()
            return

        def check(text: str) -> int | str:
            if text.strip().lower() == "auto":
                return "auto"
            try:
                number = int(text.replace(",", ""))
            except ValueError:
                raise UsageError('A whole number, please, or "auto".', fix="Such as 30.") from None
            if not 1 <= number <= 1_000_000:
                raise UsageError("From 1 to 1,000,000.")
            return number

        def answer(text: str | None) -> None:
            if text is not None:
                self._change({"train.epochs": check(text)}, form=False)

        size = SIZES.get(self.marked.removeprefix(RUNG))
        low, high = size.guide_epochs if size is not None else (0, 0)
        detail = f"The training guide has {low} to {high} for {size.name}." if size is not None else ""
        ask = Ask("Passes over the data", detail=detail, value=str(self.job.train.epochs), check=check)
        app_of(self).push_screen(ask, answer)

    def _change(self, changes: dict[str, Any], *, form: bool = True) -> None:
        app = app_of(self)
        if app.workspace is None:
            return
        try:
            app.workspace.change_job(changes)
        except ForgeError as error:
            app.show_error(error)
            return
        self.plan()
        if form:
            self.open_form()

    def action_job(self) -> None:
        """The job form."""
        if self.job is None:
            self._refuse()
            return
        self.open_form()

    def open_form(self) -> None:
        """Show every key of the job."""
        from forge_tui.screens.job_form import JobForm

        app_of(self).push_screen(JobForm())

    def action_start(self) -> None:
        """Start the job as it is."""
        start_from(self)
