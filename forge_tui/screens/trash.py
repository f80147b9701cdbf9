"""The trash: bring something back, or remove it for good."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from engine.errors import ForgeError, UsageError
from engine.library import trash
from engine.library.names import free_folder
from engine.library.trash import Trashed
from engine.project import Project
from forge_tui import model_words
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.ask import Ask
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain


class TrashList(ForgeModal[str]):
    """Answers the name of the model that was brought back last, if any was."""

    HEADING = "Trash"
    BINDINGS = bindings("trash")

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._found: dict[str, Trashed] = {}
        self._back = ""

    def content(self) -> ComposeResult:
        """What is there."""
        yield PickList(id="trash-list")
        yield Plain(id="trash-empty", classes="dialog-text")

    def on_mount(self) -> None:
        """Read it."""
        self.query_one(PickList).focus()
        self._look()

    def _look(self) -> None:
        project = self._project
        app_of(self).background.start(lambda: trash.list_trash(project), self._show, group="trash")

    def _show(self, found: list[Trashed]) -> None:
        if not self.is_attached:
            return
        self._found = {entry.id: entry for entry in found}
        pick = self.query_one(PickList)
        pick.styles.height = max(1, min(14, len(found)))
        pick.display = bool(found)
        pick.show([Row(entry.id, partial(self._line, entry), entry.id) for entry in found])
        empty = self.query_one("#trash-empty", Plain)
        empty.display = not found
        empty.show("It is empty.")

    def _line(self, entry: Trashed, width: int) -> Text:
        palette = app_of(self).palette
        when = model_words.since(entry.label.time, model_words.clock())
        name = one_line(entry.label.name, 24)
        return join(
            plain(f"{name:<24}", palette.strong),
            plain(f"{when:<11}", palette.quiet),
            plain(model_words.trashed_words(entry), palette.text),
            gap="  ",
        )

    def _need(self) -> Trashed | None:
        entry = self._found.get(self.query_one(PickList).marked or "")
        if entry is None:
            app_of(self).notify("The trash is empty.", timeout=3)
        return entry

    def action_restore(self) -> None:
        """Bring it back; under another name where its own is taken."""
        if entry := self._need():
            self._restore(entry, "")

    def _restore(self, entry: Trashed, name: str) -> None:
        app, project = app_of(self), self._project

        def work() -> str:
            folder = trash.restore(project, entry.id, new_name=name)
            return entry.label.name if entry.label.kind == "run" else folder.name

        def done(back: str) -> None:
            self._back = back
            app.notify(f"{entry.name if entry.label.kind == 'run' else back} is back.", timeout=4)
            self._look()

        def failed(error: ForgeError) -> None:
            if isinstance(error, UsageError) and not name and entry.label.kind != "run":
                self._ask_name(entry, error.text)
            else:
                app.show_error(error)

        app.background.start(work, done, failed)

    def _ask_name(self, entry: Trashed, why: str) -> None:
        def answer(name: str | None) -> None:
            if name:
                self._restore(entry, name)

        app_of(self).push_screen(
            Ask("Bring it back as", detail=why, value="", check=lambda name: free_folder(self._project, name)), answer
        )

    def action_remove(self) -> None:
        """Remove it for good, after a question."""
        if entry := self._need():
            question = f"Remove {entry.name} for good?"
            self._confirm(question, f"{model_words.trashed_words(entry)}. This cannot be undone.", [entry.id])

    def action_empty(self) -> None:
        """Remove everything for good, after a question."""
        if self._need():
            count = len(self._found)
            things = "the one thing" if count == 1 else f"all {count} things"
            self._confirm("Empty the trash?", f"Removes {things} in it. This cannot be undone.", list(self._found))

    def _confirm(self, question: str, detail: str, which: list[str]) -> None:
        app, project = app_of(self), self._project

        def answer(yes: bool | None) -> None:
            if yes:
                app.background.start(lambda: trash.empty(project, which), lambda _: self._look())

        app.push_screen(Confirm(question, detail=detail, yes="Remove"), answer)

    def action_close(self) -> None:
        """Back to the models."""
        self.dismiss(self._back)
