"""The left half of Data: files and folders, what is chosen of them, and what the check says about the marked one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from engine.errors import ForgeError
from engine.text.errand import Check
from engine.text.format_names import LABELS
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.data_checks import Checked, DataChecks, asked, check_of, checks_of
from forge_tui.data_words import facts_of
from forge_tui.file_rows import above_row, file_row, shortened, together_row
from forge_tui.folder import FolderEntry, Listing, list_folder
from forge_tui.picks import Pick, find, picks_of
from forge_tui.screens.data_preview import PreviewScreen
from forge_tui.text import one_line, plain
from forge_tui.widgets.fact_list import Fact, FactList
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain

if TYPE_CHECKING:
    from forge_tui.run_view import Changes
    from forge_tui.workspace import Workspace

TOGETHER = "together"
ABOVE = "above"
PANES = {"files": "files", "preview": "preview", "findings": "findings", "facts": "data-facts"}
"""Titles and what is below them."""
LOOK_SECONDS = 0.5
REST_SECONDS = 0.2
"""The cursor rests so long on a file before it is opened and checked."""
SMALL = 20_000_000
"""Bytes that are checked without being asked while a run trains."""


class FilesScreen(PreviewScreen):
    """Files at the left, the marked one at the right; on a narrow terminal one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: Path | None = None
        self._entries: dict[str, FolderEntry] = {}
        self._left_out = 0
        self._mark = ""
        """The file that the cursor goes to once it is listed."""
        self._picks: list[Pick] = []
        self._formats: dict[Path, str] = {}
        self._rest: Timer | None = None
        self._told: object = None
        self._inside = False
        """Whether a file is open on the whole screen (where there is no room for all panes)."""

    def body(self) -> ComposeResult:
        """Files, preview, facts and findings."""
        with Horizontal(id="data"):
            with Vertical(id="data-left"):
                yield PaneTitle("files", id="files-title")
                yield PickList(id="files")
                yield FilterBar(id="files-filter")
            yield from self.preview_widgets()
            with Vertical(id="data-right"):
                yield PaneTitle("", id="facts-title")
                yield FactList(id="data-facts")
                yield from self.finding_widgets()
        yield Plain(id="data-empty", classes="empty")

    def on_mount(self) -> None:
        """Look at checks and files from time to time."""
        self.set_interval(LOOK_SECONDS, self._look)
        self.query_one("#files").focus()

    @property
    def checks(self) -> DataChecks:
        """What is known of files."""
        return checks_of(app_of(self))

    # ---- what there is

    def arrived(self) -> None:
        """Read the job and the folder again."""
        app = app_of(self)
        project = app.project
        self.query_one("#data").display = project is not None
        empty = self.query_one("#data-empty", Plain)
        empty.display = project is None
        empty.show("No project here. Press 3 to make one.")
        if project is None:
            return
        if self._folder is None or not self._folder.is_dir():
            self._folder = project.data if project.data.is_dir() else project.root
        self.call_after_refresh(self._list, self._folder)
        self._arrange()
        self.look_at_file()

    def run_changed(self, changes: Changes) -> None:
        """A run that ends may have made a tokenizer."""
        if changes.phase:
            self._show_rows()

    def _read_picks(self) -> None:
        self._picks = _picks_in(app_of(self).workspace)

    def _list(self, folder: Path, mark: str = "") -> None:
        before, self._folder = self._folder, folder
        self._mark = mark or self._mark or (str(before) if before != folder else "")
        workspace = app_of(self).workspace

        def work() -> Listing:
            _picks_in(workspace)  # the first time that takes as long as all else here: off the screen's thread
            return list_folder(folder)

        def done(listing: Listing) -> None:
            if self._gone:
                return
            self._read_picks()
            self._entries = {str(entry.path): entry for entry in listing.entries}
            self._left_out = listing.left_out
            self._show_rows()
            if self._mark:
                self.query_one("#files", PickList).mark(self._mark)
                self._mark = ""

        def failed(error: ForgeError) -> None:
            self._folder = before
            app_of(self).show_error(error)

        app_of(self).background.start(work, done, failed, group="folder")

    def _show_rows(self) -> None:
        app = app_of(self)
        folder = self._folder
        if folder is None or app.project is None:
            return
        missing = sum(not pick.path.is_file() for pick in self._picks)
        rows = [Row(TOGETHER, partial(self._together, len(self._picks), missing))] if self._picks else []
        if folder != folder.parent:
            rows.append(Row(ABOVE, lambda width: above_row(width, app.palette)))
        rows += [Row(key, partial(self._row, entry), search=entry.path.name) for key, entry in self._entries.items()]
        self.query_one("#files", PickList).show(rows)
        shown = app.project.relative(folder)
        title = one_line("the project" if shown == "." else shown, 30)
        state = f"{len(self._picks)} chosen" if self.job() is not None else "forge.toml cannot be used"
        if self._left_out:
            state = f"{self._left_out:,} more are not listed"
        self.query_one("#files-title", PaneTitle).show(title=title, state=state)
        self._show_facts()

    def _together(self, picks: int, missing: int, width: int) -> Text:
        app = app_of(self)
        return together_row(picks, missing, width, app.palette, app.glyphs)

    def _row(self, entry: FolderEntry, width: int) -> Text:
        app = app_of(self)
        known = None if entry.is_folder else self.checks.known(self._request([entry.path]))
        weights = any(pick.weight != 1 for pick in self._picks)
        return file_row(entry, find(self._picks, entry.path), known, width, app.palette, app.glyphs, weights=weights)

    # ---- which file

    @property
    def marked(self) -> str | None:
        """The key of the row under the cursor."""
        return self.query_one("#files", PickList).marked

    @property
    def file(self) -> Path | None:
        """The file that keys act on: the open one, or the marked one."""
        if self._inside and self.opened is not None:
            return self.opened
        entry = self._entries.get(self.marked or "")
        return entry.path if entry is not None and not entry.is_folder else None

    def _need(self) -> Path | None:
        if self.file is None:
            app_of(self).notify("Put the cursor on a file first.", timeout=3)
        return self.file

    def _format(self, path: Path) -> str:
        pick, job = find(self._picks, path), self.job()
        if path in self._formats:
            return self._formats[path]
        if pick is not None and pick.format != "auto":
            return pick.format
        return job.data.format if job is not None else "auto"

    def columns_of(self, path: Path) -> Mapping[str, str]:
        """As the job names them."""
        pick = find(self._picks, path)
        return {} if pick is None else pick.columns

    def _request(self, paths: Sequence[Path]) -> Check:
        project = app_of(self).project
        assert project is not None
        return check_of(project, self.job(), [asked(path, self._format(path), self.columns_of(path)) for path in paths])

    @property
    def request(self) -> Check | None:
        """The check whose result is shown."""
        if self.marked == TOGETHER and not self._inside:
            paths = [pick.path for pick in self._picks if pick.path.is_file()]
            return self._request(paths) if paths else None
        return self._request([self.file]) if self.file is not None else None

    @on(PickList.Marked, "#files")
    def _marked(self, event: PickList.Marked) -> None:
        event.stop()
        self._show_facts()
        self.refresh_bindings()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_SECONDS, self._rested)

    def _rested(self) -> None:
        """The cursor stays here: open the file where there is room for its preview, and check it."""
        if self._gone:
            return
        path = self.file
        if self._wide:
            if path is None:
                self.close_file("a file is shown here" if self.marked != TOGETHER else "all chosen files are checked")
            else:
                self.open_file(path, self._format(path))
        self._check()

    def _check(self, *, asked: bool = False) -> None:
        app, request = app_of(self), self.request
        training = app.view is not None and app.view.run.alive
        wanted = [request] if request is not None else []
        if not asked and training:
            wanted = [one for one in wanted if sum(_size(Path(file.path)) for file in one.files) < SMALL]
        rest = [self._request([pick.path]) for pick in self._picks if pick.path.is_file() and _size(pick.path) < SMALL]
        self.checks.want(*wanted, *([] if training else rest))
        self._show_facts()

    def _look(self) -> None:
        if app_of(self).screen is not self or self._gone:
            return
        if self.checks.poll():
            self._show_rows()
        elif self.checks.busy:
            self._show_facts()
        self.look_at_file()
        if self._outline is not None and self._outline.lines is None:
            self._title_preview()

    # ---- facts and findings

    def _show_facts(self) -> None:
        app, request, key = app_of(self), self.request, self.marked
        together = key == TOGETHER and not self._inside
        known = self.checks.known(request) if request is not None else None
        self.query_one("#facts-title", PaneTitle).show(title=self._facts_title(together))
        job = self.job()
        size = job.model.size if job is not None and isinstance(job.model.size, str) else None
        told = (key, self.file, known, size, app.theme)
        if told == self._told and known is not None:
            return
        if told != self._told:
            report = known.report if isinstance(known, Checked) else None
            self.show_findings(report, many=request is not None and len(request.files) > 1)
        self._told = told
        facts: list[Fact]
        if isinstance(known, Checked):
            facts = facts_of(known, size, app.palette, app.glyphs)
            facts = [*self._chosen_facts(), ("", ""), *facts] if together else facts
        elif isinstance(known, ForgeError):
            facts = [("", plain(f"{app.glyphs.bad} {known.text}", app.palette.error)), ("", known.fix)]
        else:
            facts = self._progress_facts(request)
        self.query_one("#data-facts", FactList).show(facts, keep=known is None)

    def _facts_title(self, together: bool) -> str:
        if together:
            return "trained on together"
        if self.file is not None:
            return one_line(self.file.name, 40)
        entry = self._entries.get(self.marked or "")
        return one_line(entry.path.name, 40) if entry is not None else "folder"

    def _chosen_facts(self) -> list[Fact]:
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        facts: list[Fact] = []
        room = max(12, self.query_one("#data-facts", FactList).size.width - 10)
        names = [one_line(pick.name, 200) for pick in self._picks]
        if any(cell_len(name) > room for name in names):
            names = [shortened(name.rpartition("/")[2], room, glyphs.ellipsis) for name in names]
        for pick, name in zip(self._picks, names, strict=True):
            line = plain(f"x{pick.weight:<4g} ", palette.accent)
            line.append_text(plain(name, palette.text))
            if pick.format != "auto":
                line.append_text(plain(f"  {LABELS.get(pick.format, pick.format)}", palette.quiet))
            if not pick.path.is_file():
                line.append_text(plain(f"  {glyphs.warn} there is no such file", palette.warning))
            facts.append(("", line))
        return facts

    def _progress_facts(self, request: Check | None) -> list[Fact]:
        app = app_of(self)
        palette, glyphs = app.palette, app.glyphs
        if request is None:
            words = "There is nothing here." if self.marked is None else "enter opens this folder."
            return [("", plain(words, palette.quiet))]
        size = sum(_size(Path(file.path)) for file in request.files)
        facts: list[Fact] = [("", plain(figures.size(size), palette.text))]
        running = self.checks.progress(request)
        if running is not None and running.share is not None:
            bar = round(20 * running.share)
            line = Text(glyphs.bar * bar, style=palette.accent, end="")
            line.append(glyphs.line * (20 - bar), style=palette.rule)
            line.append(f" {100 * running.share:.0f}%", style=palette.strong)
            left = f", {glyphs.about}{figures.duration(running.seconds_left)} left" if running.seconds_left else ""
            facts += [("", line), ("", plain(f"checking{left}", palette.quiet))]
        elif running is not None or self.checks.waits(request):
            facts.append(("", plain("checking ...", palette.quiet)))
        elif app.view is not None and app.view.run.alive:
            facts.append(("", plain("Not checked: a run is training. r checks it all the same.", palette.quiet)))
        return facts

    # ---- panes

    @property
    def _wide(self) -> bool:
        return self.size.width >= 110

    def _arrange(self) -> None:
        """All panes side by side, or the list and the file one after the other."""
        body = self.query_one("#data")
        body.set_class(self._inside and not self._wide, "-inside")
        self.refresh_bindings()

    def on_resize(self, event: events.Resize) -> None:
        """What fits."""
        self._arrange()

    def on_descendant_focus(self) -> None:
        """Mark the pane that has the focus."""
        focused = self.focused.id if self.focused is not None else None
        for title, pane in PANES.items():
            self.query_one(f"#{title}-title", PaneTitle).show(active=focused == pane)
        self.refresh_bindings()


def _picks_in(workspace: Workspace | None) -> list[Pick]:
    job = workspace.job_or_none() if workspace is not None else None
    return picks_of(workspace.project, job) if workspace is not None and job is not None else []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
