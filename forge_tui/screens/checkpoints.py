"""The checkpoints of a model: look into one, make it the model, talk to it, or delete it."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual import on
from textual.app import ComposeResult

from engine.errors import ForgeError
from engine.library.catalogue import ModelEntry
from engine.library.checkpoints import Checkpoint, Inspection, delete_checkpoint, inspect_checkpoint, list_checkpoints
from engine.library.restoration import restore_checkpoint
from engine.library.trash import Trashed
from engine.project import Project
from forge_tui import figures, model_words
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import FactList
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain


class CheckpointList(ForgeModal[str]):
    """Answers the checkpoint to talk to, or None."""

    BINDINGS = bindings("checkpoints")

    def __init__(self, project: Project, entry: ModelEntry) -> None:
        super().__init__(f"Checkpoints of {entry.name}")
        self._project = project
        self._entry = entry
        self._found: dict[str, Checkpoint] = {}
        self._loaded = False

    def content(self) -> ComposeResult:
        """The list, and what is known of the marked one."""
        yield Plain(id="checkpoint-heading")
        yield PickList(id="checkpoint-list")
        yield FactList(id="checkpoint-facts")

    def on_mount(self) -> None:
        """Read them."""
        self.add_class("-large")
        self.query_one(PickList).focus()
        self._look()

    def on_resize(self) -> None:
        """Columns depend on the width."""
        if self._loaded:
            self._show(list(self._found.values()))

    def _look(self) -> None:
        project, name = self._project, self._entry.name
        app_of(self).background.start(lambda: list_checkpoints(project, name), self._show, group="checkpoints")

    def _show(self, found: list[Checkpoint]) -> None:
        if not self.is_attached:
            return
        palette = app_of(self).palette
        self._loaded = True
        self._found = {entry.id: entry for entry in found}
        pick = self.query_one(PickList)
        pick.show([Row(entry.id, partial(self._line, entry), entry.id) for entry in found])
        head = f"{'step':>9}  {'val bpb':>7}  {'size':>7}  {'saved':<12}  {'':<12}  run"
        self.query_one("#checkpoint-heading", Plain).show(plain(f"  {head}" if found else "", palette.quiet))
        if not found:
            where = "Its runs left no checkpoints: a run keeps the newest ones and the best."
            self.query_one(FactList).show([("", plain(where, palette.quiet))])
        self._describe()

    def _line(self, entry: Checkpoint, width: int) -> Text:
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        words = model_words.checkpoint_words(entry)
        if entry.problem:
            mark = plain(f"{glyphs.bad} {words}", palette.error)
        elif entry.best:
            mark = plain(f"{glyphs.good} {words}", palette.good)
        else:
            mark = plain(words, palette.quiet)
        saved = model_words.since(entry.saved, model_words.clock())
        mark.append(" " * max(0, 12 - mark.cell_len))
        return join(
            plain(f"{entry.step:>9,}", palette.strong),
            plain(f"{figures.loss(entry.val_bpb):>7}", palette.text),
            plain(f"{figures.size(entry.bytes):>7}", palette.text),
            plain(f"{saved:<12}", palette.quiet),
            mark,
            plain(one_line(entry.run, 24), palette.quiet),
            gap="  ",
        )

    @property
    def marked(self) -> Checkpoint | None:
        """The checkpoint under the cursor."""
        return self._found.get(self.query_one(PickList).marked or "")

    @on(PickList.Marked)
    def _marked(self, event: PickList.Marked) -> None:
        event.stop()
        self._describe()

    def _describe(self) -> None:
        entry = self.marked
        if entry is None:
            return
        palette = app_of(self).palette
        facts = [("folder", self._project.relative(entry.path)), ("run", f"{entry.run}, {entry.phase}")]
        facts.append(("problem", entry.problem) if entry.problem else ("", ""))
        told = plain("enter reads and checks every byte of it.", palette.quiet)
        self.query_one(FactList).show([*(fact for fact in facts if fact[1]), ("", told)])

    # ---- keys

    def _need(self) -> Checkpoint | None:
        if self.marked is None:
            app_of(self).notify("There is no checkpoint here.", severity="warning", timeout=3)
        return self.marked

    def action_inspect(self) -> None:
        """Check it and show what it holds."""
        if entry := self._need():
            self.query_one(FactList).show([("", plain("Reading every byte of it ...", app_of(self).palette.quiet))])
            app_of(self).background.start(lambda: inspect_checkpoint(entry), self._inspected, group="inspect")

    def _inspected(self, found: Inspection) -> None:
        if self.is_attached and self.marked is not None and self.marked.id == found.checkpoint.id:
            self.query_one(FactList).show(model_words.inspection_facts(found))

    def action_restore(self) -> None:
        """Make it the model, after a question."""
        entry = self._need()
        if entry is None:
            return
        app, name = app_of(self), self._entry.name
        if entry.problem:
            app.notify(entry.problem, severity="warning", timeout=5)
            return
        value = "" if entry.val_bpb is None else f" ({entry.val_bpb:.3f} bits per byte)"
        before = "What is published now goes to the trash. " if self._entry.published else ""

        def done(result: tuple[Checkpoint, Trashed | None]) -> None:
            app.notify(f"{name} is its step {result[0].step:,} now.", timeout=6)
            self._look()

        def answer(yes: bool | None) -> None:
            if yes:
                app.background.start(lambda: restore_checkpoint(self._project, name, entry.id), done)

        app.push_screen(
            Confirm(
                f"Make step {entry.step:,} the model {name}?",
                detail=f"{before}Its weights{value} are published; the checkpoint stays.",
                yes="Restore",
                danger=False,
            ),
            answer,
        )

    def action_delete(self) -> None:
        """Remove it for good, after a question."""
        entry = self._need()
        if entry is None:
            return
        app = app_of(self)
        resumable = [other for other in self._found.values() if other.run == entry.run and other.resumable]
        last = "Its run cannot go on without it. " if resumable == [entry] and entry.phase != "finished" else ""

        def failed(error: ForgeError) -> None:
            app.show_error(error)
            self._look()

        def answer(yes: bool | None) -> None:
            if yes:
                app.background.start(
                    lambda: delete_checkpoint(self._project, self._entry.name, entry.id), lambda _: self._look(), failed
                )

        app.push_screen(
            Confirm(
                f"Delete the checkpoint of step {entry.step:,}?",
                detail=f"{last}It takes {figures.size(entry.bytes)}. This cannot be undone.",
                yes="Delete",
            ),
            answer,
        )

    def action_talk(self) -> None:
        """Talk to it on the Chat screen."""
        if (entry := self._need()) is None:
            return
        if entry.problem:
            app_of(self).notify(entry.problem, severity="warning", timeout=5)
            return
        self.dismiss(entry.id)
