"""What the Manager does with a model: it asks, works in the background, says what came of it, and can undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.library import about, clone, rename, trash
from engine.library.catalogue import ModelEntry
from engine.library.names import free_folder
from engine.library.trash import Trashed
from engine.library.verification import Finding
from engine.project import Project
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.chat_choice import VOICE, encode
from forge_tui.screens.ask import Ask
from forge_tui.screens.confirm import Confirm

if TYPE_CHECKING:
    from forge_tui.screens.base import ForgeScreen


class ModelActions:
    """The actions of one screen. `changed` is told when the models are no longer as they were."""

    def __init__(self, screen: ForgeScreen, changed: Callable[[str], None]) -> None:
        self._screen = screen
        self._changed = changed
        self._deleted: list[Trashed] = []

    def _start(self, work: Callable[[], str], said: str) -> None:
        """Do `work` in the background; it returns the name of the model to go to."""
        app = app_of(self._screen)

        def done(name: str) -> None:
            app.notify(said.replace("{name}", name), timeout=5)
            self._changed(name)

        app.background.start(work, done)

    def talk(self, entry: ModelEntry, checkpoint: str = "") -> None:
        """Go to the Chat screen."""
        app = app_of(self._screen)
        app.remember_answer(VOICE, encode(entry.name, checkpoint))
        app.show_screen("chat")

    def rename(self, project: Project, entry: ModelEntry) -> None:
        """Ask for another name."""

        def answer(new: str | None) -> None:
            if new and new != entry.name:
                said = f"{entry.name} is called {{name}} now."
                self._start(lambda: rename.rename(project, entry.name, new).name, said)

        app_of(self._screen).push_screen(
            Ask(
                f"Rename {entry.name}",
                detail="Its runs and checkpoints come along; models that came from it keep their history.",
                value=entry.name,
                check=lambda new: free_folder(project, new, instead_of=entry.name),
            ),
            answer,
        )

    def clone(self, project: Project, entry: ModelEntry) -> None:
        """Ask for the name of a copy."""

        def answer(new: str | None) -> None:
            if new:
                self._start(lambda: clone.clone(project, entry.name, new).name, f"{entry.name} was copied to {{name}}.")

        app_of(self._screen).push_screen(
            Ask(
                f"Copy {entry.name}",
                detail=f"The model's own files ({figures.size(entry.bytes)}), without its runs.",
                value=_free_name(project, entry.name),
                check=lambda new: free_folder(project, new),
            ),
            answer,
        )

    def note(self, project: Project, entry: ModelEntry) -> None:
        """Write a note."""
        from forge_tui.screens.text_edit import TextEdit

        def answer(text: str | None) -> None:
            if text is not None and text.strip() != entry.note.strip():
                said = "Noted." if text.strip() else "The note is removed."
                self._start(lambda: _after(about.set_note(project, entry.name, text), entry.name), said)

        app_of(self._screen).push_screen(
            TextEdit(f"A note on {entry.name}", value=entry.note, limit=about.LONGEST_NOTE), answer
        )

    def tags(self, project: Project, entry: ModelEntry) -> None:
        """Change the tags."""

        def check(text: str) -> None:
            for tag in text.split():
                about.check_tag(tag)

        def answer(text: str | None) -> None:
            if text is None:
                return
            wanted = {about.check_tag(tag) for tag in text.split()}
            gone = set(entry.tags) - wanted
            self._start(
                lambda: _after(about.change_tags(project, entry.name, add=wanted, remove=gone), entry.name),
                f"Tags of {{name}}: {' '.join(sorted(wanted)) or 'none'}",
            )

        app_of(self._screen).push_screen(
            Ask(f"Tags of {entry.name}", detail="Words with spaces between; / finds models by them.",
                value=" ".join(entry.tags), example="keep good-at-tools", check=check),
            answer,
        )  # fmt: skip

    def delete(self, project: Project, entry: ModelEntry) -> None:
        """To the trash, after a question that names what goes."""
        app = app_of(self._screen)
        if entry.alive:
            app.notify(f"A run trains {entry.name}. Stop it first.", severity="warning", timeout=4)
            return
        runs = f" and its {entry.runs} run" + ("" if entry.runs == 1 else "s") if entry.runs else ""
        value = "" if entry.val_bpb is None else f", {entry.val_bpb:.3f} bits per byte"
        size = f"{entry.size or 'a model'}, {figures.count(entry.parameters)} parameters{value}"

        def answer(yes: bool | None) -> None:
            if yes:
                app.background.start(lambda: trash.delete(project, entry.name), self._was_deleted)

        app.push_screen(
            Confirm(
                f"Move {entry.name} to the trash?",
                detail=f"{size}{runs}. U brings it back, until the trash is emptied.",
                yes="Delete",
            ),
            answer,
        )

    def _was_deleted(self, trashed: Trashed) -> None:
        self._deleted.append(trashed)
        app_of(self._screen).notify(f"{trashed.name} is in the trash. U brings it back.", timeout=6)
        self._changed("")

    def undo(self, project: Project) -> None:
        """Bring back what was deleted last."""
        if not self._deleted:
            app_of(self._screen).notify("Nothing was deleted here. x shows the trash.", timeout=4)
            return
        trashed = self._deleted[-1]

        def work() -> str:
            name = trash.restore(project, trashed.id).name
            self._deleted.remove(trashed)
            return name

        self._start(work, "{name} is back.")

    def checkpoints(self, project: Project, entry: ModelEntry) -> None:
        """List, inspect, restore and delete its checkpoints."""
        from forge_tui.screens.checkpoints import CheckpointList

        def answer(which: str | None) -> None:
            if which:
                self.talk(entry, which)
            else:
                self._changed(entry.name)

        app_of(self._screen).push_screen(CheckpointList(project, entry), answer)

    def compare(self, project: Project, entry: ModelEntry, others: Sequence[ModelEntry]) -> None:
        """Choose another model, and show both."""
        from forge_tui.screens.compare import Compare
        from forge_tui.screens.model_choice import ModelChoice

        app = app_of(self._screen)
        choices = [other for other in others if other.name != entry.name and other.loadable]
        if not choices:
            app.notify("There is no other model to compare it with.", timeout=4)
            return

        def answer(name: str | None) -> None:
            if name:
                app.push_screen(Compare(project, entry.name, name))

        app.push_screen(ModelChoice(f"Compare {entry.name} with", choices), answer)

    def findings(self, entry: ModelEntry, findings: Sequence[Finding]) -> None:
        """Show what a check found."""
        from forge_tui.screens.findings import Findings

        app_of(self._screen).push_screen(Findings(entry.name, findings))

    def trash(self, project: Project) -> None:
        """Show the trash."""
        from forge_tui.screens.trash import TrashList

        app_of(self._screen).push_screen(TrashList(project), lambda name: self._changed(name or ""))

    def disk(self, project: Project) -> None:
        """Show where the space goes."""
        from forge_tui.screens.disk import DiskScreen

        app_of(self._screen).push_screen(DiskScreen(project), lambda _: self._changed(""))


def _free_name(project: Project, name: str) -> str:
    for number in range(1, 100):
        candidate = f"{name[:56]}-{number + 1}"
        if not (Path(project.models) / candidate).exists():
            return candidate
    return ""


def _after(done: object, name: str) -> str:
    """`name`, once `done` is."""
    return name
