"""The job form: every key of forge.toml with its value, what "auto" is and why; each change is written at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.errors import ForgeError, UsageError
from engine.files import write_atomic
from engine.job_file import edit_job_text, file_table, parse_job, read_toml_text
from forge_tui.access import app_of
from forge_tui.forecast import Forecast, auto_values
from forge_tui.job_fields import RATE_GUIDE, Field, as_typed, fields_of, from_typed
from forge_tui.job_rows import field_facts, field_line, plan_lines, section_line
from forge_tui.job_start import start_from
from forge_tui.keys import bindings
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choice, Choose
from forge_tui.screens.planning import PlanningScreen
from forge_tui.text import plain
from forge_tui.widgets.block_list import Block, BlockList
from forge_tui.widgets.fact_list import Fact, FactList
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.plain import Plain

MOST_UNDO = 50


class JobForm(PlanningScreen):
    """A list of keys, and all about the marked one."""

    HELP_SCOPES = ("job", "list", "filter")
    BINDINGS = bindings("job", "filter")

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, Field] = {}
        self._auto: dict[str, tuple[str, str]] = {}
        self._forecast: Forecast | None = None
        self._before: list[str] = []
        self._guide = False
        self._told = ""

    def body(self) -> ComposeResult:
        """Keys above (or at the left), the marked one below (or at the right)."""
        yield Plain(id="job-plan")
        with Horizontal(id="job"):
            with Vertical(id="job-left"):
                yield PaneTitle("forge.toml", id="job-title")
                yield BlockList(id="job-list")
                yield FilterBar(id="job-filter")
            with Vertical(id="job-right"):
                yield PaneTitle("", id="job-name")
                yield FactList(id="job-facts")

    def on_mount(self) -> None:
        """The list has the keys."""
        super().on_mount()
        self.query_one("#job-list").focus()

    # ---- showing

    def planned(self) -> None:
        """Draw everything anew."""
        if self.job is None:
            self._show_broken()
            return
        self._told = ""
        try:
            self._forecast = self.forecast()
        except UsageError as error:
            self._forecast, self._told = None, f"{error.text} {error.fix}"
        self._auto = {}
        if self._forecast is not None and self.amount is not None and self.machine is not None:
            self._auto = auto_values(self.job, self._forecast, self.amount, self.machine)
        fields = fields_of(self.job, self._text())
        self._fields = {field.key: field for field in fields}
        blocks: list[Block] = []
        section = ""
        for field in fields:
            if field.section != section:
                section = field.section
                blocks.append(Block(f"[{section}]", partial(self._heading, section, bool(blocks)), heading=True))
            blocks.append(Block(field.key, partial(self._line, field), search=f"{field.key} {field.about}"))
        self.query_one("#job-list", BlockList).show(blocks)
        self._show_plan()
        self._show_facts()
        given = sum(field.given for field in fields)
        self.query_one("#job-title", PaneTitle).show(
            title="forge.toml", state=f"saved {app_of(self).glyphs.separator} {given} keys set"
        )
        self.refresh_bindings()

    def _show_broken(self) -> None:
        broken = self.broken
        self.query_one("#job-list", BlockList).show([])
        palette = app_of(self).palette
        facts: list[Fact] = [("", plain("Reading ...", palette.quiet))]
        if broken is not None:
            facts = [("", plain("forge.toml cannot be used", palette.error)), ("where", broken.where),
                     ("", broken.text), ("", broken.fix), ("", ""),
                     ("", plain("e opens it in your editor at this line.", palette.quiet))]  # fmt: skip
        self.query_one("#job-facts", FactList).show(facts)
        self.query_one("#job-plan", Plain).show("")
        self.refresh_bindings()

    def _text(self) -> str:
        project = app_of(self).project
        if project is None:
            return ""
        try:
            return read_toml_text(project.job_file)
        except UsageError:
            return ""

    def _heading(self, section: str, gap: bool, width: int) -> list[Text]:
        line = section_line(section, app_of(self).palette)
        return [Text(end=""), line] if gap else [line]

    def _line(self, field: Field, width: int) -> list[Text]:
        return [field_line(field, self._auto.get(field.key), width, app_of(self).palette)]

    def _show_plan(self) -> None:
        """What the job as a whole comes to."""
        app, widget = app_of(self), self.query_one("#job-plan", Plain)
        plan, job, amount, machine = self._forecast, self.job, self.amount, self.machine
        if plan is None or job is None or amount is None or machine is None:
            widget.show(plain(f" {self._told}", app.palette.warning))
        else:
            lines = plan_lines(plan, job, amount, machine, app.palette, app.glyphs, goes_on=self.entry is not None)
            if self.conflict:
                lines = Text("\n", end="").join([
                    lines.split("\n")[0], plain(f" {app.glyphs.warn} {self.conflict}", app.palette.warning),
                ])  # fmt: skip
            widget.show(lines)

    @on(BlockList.Marked, "#job-list")
    def _marked(self, event: BlockList.Marked) -> None:
        event.stop()
        self._guide = False
        self._show_facts()
        self.refresh_bindings()

    @property
    def field(self) -> Field | None:
        """The field under the cursor."""
        return self._fields.get(self.query_one("#job-list", BlockList).marked or "")

    def _show_facts(self) -> None:
        palette = app_of(self).palette
        field = self.field
        if field is None:
            return
        self.query_one("#job-name", PaneTitle).show(
            title=field.key.replace("stage.", "stage "), state="in forge.toml" if field.given else "default"
        )
        key = "train.learning_rate" if self._guide else field.key
        facts = field_facts(field, self._auto.get(key), palette, guide=self._guide)
        self.query_one("#job-facts", FactList).show(facts)

    def on_resize(self, event: events.Resize) -> None:
        """Rows are drawn for the width."""
        self._show_plan()

    # ---- the bottom line

    def hidden(self, identity: str) -> bool:
        """Only what can be done with the marked key."""
        if self.job is None:
            return identity != "job.open"
        field = self.field
        if identity == "job.default":
            return field is None or not field.given
        if identity == "job.auto":
            return field is None or field.is_auto or '"auto"' not in field.expected
        if identity == "job.undo":
            return not self._before
        return False

    def go_back(self) -> bool:
        """Close the filter, then the form."""
        if self.query_one("#job-filter", FilterBar).close():
            self.query_one("#job-list").focus()
            return True
        app_of(self).pop_screen()
        return True

    def action_filter(self) -> None:
        """Narrow the list."""
        self.query_one("#job-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def filtered(self, event: FilterBar.Changed) -> None:
        """Show the keys that contain the text."""
        event.stop()
        self.query_one("#job-list", BlockList).filter(event.text)
        if not self.query_one("#job-filter", FilterBar).is_open:
            self.query_one("#job-list").focus()

    # ---- changing

    def action_edit(self) -> None:
        """Ask for a value."""
        field, app = self.field, app_of(self)
        if field is None:
            app.notify("forge.toml cannot be used: e opens it in your editor.", severity="warning")
            return
        if field.key == "data.files":
            app.show_screen("data")
            return
        if field.choices:
            choices = [Choice(value, value, words) for value, words in field.choices]
            ask = Choose(field.key, choices, detail=field.about, marked=as_typed(field))
            app.push_screen(ask, partial(self._chosen, field))
            return
        detail = f"{field.about} It must be {field.expected}."
        if field.name == "learning_rate":
            rates = "; ".join(f"{use.lower()} {rate}" for use, rate, _ in RATE_GUIDE)
            detail += f"\nThe training guide: {rates}."
        app.push_screen(
            Ask(field.key, detail=detail, value=as_typed(field), check=partial(self._check, field)),
            partial(self._typed, field),
        )

    def _check(self, field: Field, text: str) -> None:
        """Refuse at the field what forge.toml would refuse.

        Raises:
            UsageError: why.
        """
        if not text and not isinstance(field.value, list):
            raise UsageError("Type a value.", fix="esc leaves it as it is; d takes the default.")
        edit_job_text(self._text(), {field.key: from_typed(field, text)})

    def _typed(self, field: Field, text: str | None) -> None:
        if text is not None:
            self._change({field.key: from_typed(field, text)})

    def _chosen(self, field: Field, value: str | None) -> None:
        if value is not None:
            self._change({field.key: from_typed(field, value)})

    def _change(self, changes: dict[str, Any]) -> None:
        app = app_of(self)
        workspace = app.workspace
        if workspace is None:
            return
        before = self._text()
        try:
            workspace.change_job(changes)
        except ForgeError as error:
            app.show_error(error)
            return
        self._before = [*self._before[-MOST_UNDO:], before]
        self.plan()

    def action_undo(self) -> None:
        """Write forge.toml as it was before the last change."""
        app = app_of(self)
        project = app.project
        if not self._before or project is None:
            app.notify("Nothing was changed here.", timeout=3)
            return
        text = self._before.pop()
        try:
            parse_job(text)
            write_atomic(project.job_file, text.encode())
        except ForgeError as error:
            app.show_error(error)
        self.plan()

    def action_default(self) -> None:
        """Take the key out of forge.toml."""
        field = self.field
        if field is None or not field.given:
            app_of(self).notify("This is the default already.", timeout=3)
        elif field.default is None:
            app_of(self).notify(f"{field.key} has no default: every stage needs it.", severity="warning")
        else:
            self._change({field.key: None})

    def action_auto(self) -> None:
        """Have it decided."""
        field = self.field
        if field is None:
            return
        if '"auto"' not in field.expected and field.key != "data.format":
            app_of(self).notify(f'{field.key} cannot be "auto".', timeout=3)
        elif not field.is_auto:
            self._change({field.key: "auto"})

    def action_pin(self) -> None:
        """Write down what "auto" is now."""
        field, app = self.field, app_of(self)
        if field is None:
            return
        value, _ = self._auto.get(field.key, ("", ""))
        if not field.is_auto or not value:
            app.notify("Only what is decided now can be written down.", timeout=3)
            return
        try:
            self._check(field, value.replace(",", ""))
        except UsageError:
            app.notify(f'"{value}" is no value that forge.toml could hold.', timeout=3)
            return
        self._change({field.key: from_typed(field, value.replace(",", ""))})

    def action_guide(self) -> None:
        """The learning-rate guide, whatever the cursor is on."""
        self._guide = not self._guide
        self._show_facts()

    # ---- stages, editor, start

    def action_add_stage(self) -> None:
        """A further stage with the files of [data], to be changed."""
        job = self.job
        if job is None:
            return

        def check(text: str) -> None:
            if not text or any(stage.name == text for stage in job.stage):
                raise UsageError("Give every stage a name of its own.")

        def answer(name: str | None) -> None:
            if name is not None:
                stages = [{"name": name, "files": _names(job.data.files), "epochs": 20}]
                self._change({"stage": [*_tables(job.stage), *stages]})
                self.query_one("#job-list", BlockList).mark(f"stage.{len(job.stage)}.files")

        detail = "It begins where the stage before ends, with its own data, epochs and learning rate."
        app_of(self).push_screen(Ask("Name of the stage", detail=detail, example="tools", check=check), answer)

    def action_drop_stage(self) -> None:
        """Remove the marked stage."""
        field, job = self.field, self.job
        if field is None or job is None or not field.key.startswith("stage."):
            app_of(self).notify("Put the cursor on a stage first.", timeout=3)
            return
        index = int(field.key.split(".")[1])
        self._change({"stage": [table for place, table in enumerate(_tables(job.stage)) if place != index]})

    def action_open_editor(self) -> None:
        """The editor, at the key or at the mistake."""
        from forge_tui.editor import edit

        app = app_of(self)
        project = app.project
        if project is None:
            return
        before = self._text()
        line = self.broken.line if self.broken is not None else self._line_of(self.field)
        if edit(app, project.job_file, line):
            if before and before != self._text():
                self._before = [*self._before[-MOST_UNDO:], before]
            self.arrived()

    def _line_of(self, field: Field | None) -> int | None:
        from engine.toml_lines import TomlLines

        if field is None or not field.given:
            return None
        path = tuple(int(part) if part.isdigit() else part for part in field.key.split("."))
        return TomlLines(self._text()).line_of(path)

    def action_start(self) -> None:
        """Train."""
        start_from(self)


def _tables(stages: list[Any]) -> list[dict[str, Any]]:
    """Stages as forge.toml would have them: defaults left out."""
    tables = []
    for stage in stages:
        table: dict[str, Any] = {"name": stage.name, "files": _names(stage.files), "epochs": stage.epochs}
        if stage.learning_rate != "auto":
            table["learning_rate"] = stage.learning_rate
        tables.append(table)
    return tables


def _names(files: list[Any]) -> list[Any]:
    return [one if isinstance(one, str) else file_table(one) for one in files]
