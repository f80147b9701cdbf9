"""Data: choose what is trained on, look at it, and see what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from textual import on

from engine.errors import ForgeError
from engine.files import os_error
from engine.text.format_names import LABELS
from forge_tui.access import app_of
from forge_tui.folder import check_folder
from forge_tui.keys import bindings
from forge_tui.picks import Pick, as_files, find, formatted, swapped, toggled, weighted
from forge_tui.screens.data_files import ABOVE, TOGETHER, FilesScreen
from forge_tui.text import one_line
from forge_tui.widgets.block_list import BlockList
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.pick_list import PickList


class DataScreen(FilesScreen):
    """The keys."""

    HELP_SCOPES = ("data", "preview", "list", "filter")
    BINDINGS = bindings("data", "filter")

    # ---- the bottom line

    def label_of(self, identity: str) -> str | None:
        """Words that fit what the cursor is on."""
        if identity == "data.pick" and self.file is not None and find(self._picks, self.file) is not None:
            return "leave out"
        if identity == "data.open" and self._inside:
            return "go to line"
        if identity == "filter.open":
            return "find" if self._on_preview else "filter"
        return None

    def hidden(self, identity: str) -> bool:
        """Only what can be done here."""
        if app_of(self).project is None:
            return True
        on_file = self.file is not None
        picked = on_file and self.file is not None and find(self._picks, self.file) is not None
        if identity == "data.open":
            return self._inside and not self._on_findings
        if identity == "data.heavier":
            return not picked or self._inside
        if identity == "data.mask":
            return not (self._inside or self._wide) or self._outline is None
        if identity in ("data.pick", "data.edit", "data.fix", "data.convert"):
            return not on_file
        return False

    @property
    def _on_preview(self) -> bool:
        return self.focused is not None and self.focused.id == "preview"

    @property
    def _on_findings(self) -> bool:
        return self.focused is not None and self.focused.id == "findings"

    # ---- going in and out

    def action_open(self) -> None:
        """Into the folder, into the file, to the line of the finding."""
        if self._on_findings:
            if self.jump(self.query_one("#findings", BlockList).marked):
                self.preview.focus()
            else:
                app_of(self).notify("This is about the whole file.", timeout=3)
            return
        if self._on_preview:
            return
        key, entry = self.marked, self._entries.get(self.marked or "")
        if key == ABOVE:
            self.action_parent()
        elif key == TOGETHER:
            self._check(asked=True)
            self.query_one("#findings" if self._wide else "#data-facts").focus()
        elif entry is not None and entry.is_folder:
            self._list(entry.path)
        elif entry is not None:
            self._enter(entry.path)

    def _enter(self, path: Path, line: int = 0) -> None:
        self._inside = not self._wide
        self._arrange()
        self.open_file(path, self._format(path), line)
        self._check()
        self.preview.focus()

    def open_finding(self, path: Path, line: int) -> None:
        """Show the line of a file that a finding names."""
        if not self._wide and not self._inside:
            self._enter(path, line)
        else:
            self.open_file(path, self._format(path), line)

    def _leave(self) -> bool:
        """From the file back to the list."""
        if self._inside or (self.focused is not None and self.focused.id != "files"):
            self._inside = False
            self._arrange()
            self._show_facts()
            self.query_one("#files").focus()
            return True
        return False

    def go_back(self) -> bool:
        """Close the search, then the file."""
        for bar, owner in (("#preview-find", "#preview"), ("#files-filter", "#files")):
            if self.query_one(bar, FilterBar).close():
                self.query_one(owner).focus()
                return True
        return self._leave()

    def action_parent(self) -> None:
        """The folder above; from a file, the list."""
        if not self._leave() and self._folder is not None and self._folder != self._folder.parent:
            self._list(self._folder.parent)

    def action_go(self) -> None:
        """Ask for a folder."""
        from forge_tui.screens.ask import Ask

        app, start = app_of(self), self._folder
        if start is None:
            return

        def answer(text: str | None) -> None:
            if text is None:
                return
            path = check_folder(text, start)
            self._leave()
            if path.is_dir():
                self._list(path)
            else:
                self._list(path.parent, mark=str(path))

        ask = Ask("Go to a folder or file", value=f"{start}/", check=lambda text: check_folder(text, start))
        app.push_screen(ask, answer)

    # ---- choosing

    def action_pick(self) -> None:
        """Train on it, or no longer."""
        project = app_of(self).project
        if (path := self._need()) is not None and project is not None:
            self._change(lambda: toggled(project, self._picks, path))

    def action_weigh(self, by: int) -> None:
        """More or less often."""
        path = self._need()
        if path is None:
            return
        if find(self._picks, path) is None:
            app_of(self).notify("Choose the file first (space).", timeout=3)
            return
        self._change(lambda: weighted(self._picks, path, by))

    def _change(self, change: Callable[[], Sequence[Pick]]) -> None:
        app = app_of(self)
        if app.workspace is None:
            return
        try:
            app.workspace.change_job({"data.files": as_files(change())})
        except ForgeError as error:
            app.show_error(error)
            return
        self._read_picks()
        self._show_rows()
        self._check()
        self.refresh_bindings()

    def action_format(self) -> None:
        """Ask which format the file is in."""
        from forge_tui.screens.choose import Choice, Choose

        path = self._need()
        if path is None:
            return

        def answer(name: str | None) -> None:
            if name is None:
                return
            self._formats[path] = name
            if find(self._picks, path) is not None:
                self._change(lambda: formatted(self._picks, path, name))
                self._formats.pop(path)
            if self.opened == path:
                self.open_file(path, name)
            self._check()

        choices = [Choice("auto", "auto", "look at the file"), *(Choice(key, key, LABELS[key]) for key in LABELS)]
        app_of(self).push_screen(
            Choose(f"The format of {one_line(path.name, 40)}", choices, marked=self._format(path)), answer
        )

    # ---- editing, repairing, converting

    def action_edit(self) -> None:
        """Open the editor."""
        from forge_tui.editor import edit

        path = self._need()
        if path is None:
            return
        line = self.preview.line if self.opened == path and (self._inside or self._wide) else None
        if self._on_findings:
            file, place = self._jumps.get(self.query_one("#findings", BlockList).marked or "", ("", 0))
            path, line = (Path(file), place) if place else (path, line)
        if edit(app_of(self), path, line):
            self.look_at_file()
            self._list(self._folder or path.parent, mark=str(path))
            self._check()

    def action_new(self) -> None:
        """A file from a template."""
        from forge_tui.data_copies import check_new_file
        from forge_tui.screens.ask import Ask
        from forge_tui.screens.choose import Choice, Choose
        from forge_tui.templates import TEMPLATES

        app, folder = app_of(self), self._folder
        if folder is None:
            return

        def chosen(key: str | None) -> None:
            template = next((one for one in TEMPLATES if one.key == key), None)
            if template is None:
                return
            ask = Ask(
                f"New file: {template.title}",
                detail=f"In {one_line(str(folder), 60)}.",
                value=f"my_data{template.suffix}",
                check=lambda text: check_new_file(text, folder),
            )
            app.push_screen(ask, partial(self._make, folder, template.text))

        choices = [Choice(one.key, one.title, one.about) for one in TEMPLATES]
        app.push_screen(Choose("A new file with examples to write over", choices), chosen)

    def _make(self, folder: Path, text: str, name: str | None) -> None:
        from forge_tui.data_copies import check_new_file
        from forge_tui.editor import edit

        if name is None:
            return
        app = app_of(self)
        try:
            path = check_new_file(name, folder)
            try:
                with path.open("x", encoding="utf-8", newline="\n") as stream:
                    stream.write(text)
            except OSError as error:
                raise os_error(error, path) from error
        except ForgeError as error:
            app.show_error(error)
            return
        edit(app, path, 1)
        self._list(path.parent, mark=str(path))

    def action_fix(self) -> None:
        """A repaired copy."""
        from forge_tui.data_copies import repair_copy

        path = self._need()
        if path is not None:
            self._copy(lambda: repair_copy(app_of(self), path, self._kept))

    def action_convert(self) -> None:
        """A copy in another format."""
        from forge_tui.data_copies import convert_copy

        path = self._need()
        if path is not None:
            columns = self.columns_of(path)
            self._copy(lambda: convert_copy(app_of(self), path, self._format(path), columns, self._kept))

    def _copy(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except ForgeError as error:
            app_of(self).show_error(error)

    def _kept(self, file: Path, copy: Path) -> None:
        """A copy was kept: train on it instead, if the file was trained on."""
        app, project = app_of(self), app_of(self).project
        if project is not None and find(self._picks, file) is not None:
            self._change(lambda: swapped(project, self._picks, file, copy))
            app.notify(f"{one_line(copy.name)} is trained on now, instead of {one_line(file.name)}.", timeout=6)
        else:
            app.notify(f"{one_line(copy.name)} is there. space chooses it.", timeout=6)
        self._leave()
        self._list(copy.parent, mark=str(copy))

    def action_check(self) -> None:
        """Check it again."""
        request = self.request
        if request is None:
            app_of(self).notify("Put the cursor on a file first.", timeout=3)
            return
        self.checks.forget(request)
        self._told = None
        self._check(asked=True)

    # ---- filter and search

    def action_filter(self) -> None:
        """Narrow the list, or look for a text in the file."""
        find_in_file = self._on_preview or (self._inside and not self._on_findings)
        self.query_one("#preview-find" if find_in_file else "#files-filter", FilterBar).open()

    @on(FilterBar.Changed)
    def filtered(self, event: FilterBar.Changed) -> None:
        """Show the files, or go to the place, that hold the text."""
        event.stop()
        if self.query_one("#preview-find", FilterBar).is_open:
            self.find_typed(event.text)
            return
        self.query_one("#files", PickList).filter(event.text)
        if not self.query_one("#files-filter", FilterBar).is_open and not self._inside:
            self.query_one("#files").focus()
