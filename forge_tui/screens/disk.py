"""Where the space of the project goes, and what could be freed."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from engine.library.disk_use import KINDS, DiskUse, Reclaimable, clean, disk_use
from engine.project import Project
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import FactList
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.pick_list import PickList, Row

_BAR = 16
_FRAME = 6
"""Rows of the dialog that hold neither list."""
_WORDS = {"trash": "trash", "checkpoints": "checkpoints", "cache": "token caches", "leftovers": "leftovers"}


class DiskScreen(ForgeModal[None]):
    """Bars for what takes space; a list of what can go, to choose from."""

    HEADING = "Disk"
    BINDINGS = bindings("disk")

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._use: DiskUse | None = None
        self._chosen: set[str] = set()

    def content(self) -> ComposeResult:
        """Both."""
        yield FactList(id="disk-use")
        yield PaneTitle("could be freed", id="disk-title")
        yield PickList(id="disk-list")

    def on_mount(self) -> None:
        """Measure."""
        self.query_one("#disk-use", FactList).show([("", "Measuring ...")])
        self.query_one(PickList).focus()
        self._look()

    def _look(self) -> None:
        project = self._project
        app_of(self).background.start(lambda: disk_use(project), self._show, group="disk")

    def _show(self, use: DiskUse) -> None:
        if not self.is_attached:
            return
        self._use = use
        keys = [_key(entry) for entry in use.reclaimable]
        self._chosen &= set(keys)
        pick = self.query_one(PickList)
        pick.show([Row(_key(entry), partial(self._line, entry), entry.name) for entry in use.reclaimable])
        self.query_one("#disk-use", FactList).show(self._bars(use))
        self._fit()
        self._title()

    def on_resize(self) -> None:
        """Both lists share the height."""
        self._fit()

    def _fit(self) -> None:
        if self._use is None:
            return
        room = max(4, int(self.size.height * 0.9) - _FRAME)
        entries, bars = max(1, len(self._use.reclaimable)), len(self._bars(self._use))
        below = min(entries, max(room // 2, room - bars))
        self.query_one(PickList).styles.height = below
        self.query_one("#disk-use").styles.height = max(1, min(bars, room - below))

    def _bars(self, use: DiskUse) -> list[tuple[str, Text]]:
        app = app_of(self)
        parts = sorted(((one_line(model.name, 26), model.total) for model in use.models), key=lambda part: -part[1])
        parts += [("trash", use.trash)] if use.trash else []
        parts += [("token caches", use.cache)] if use.cache else []
        largest = max((size for _, size in parts), default=0) or 1
        gap = " " * (_BAR + 1)
        rows = [
            ("together", plain(f"{gap}{figures.size(use.total):>7}", app.palette.strong)),
            ("free", plain(f"{gap}{figures.size(use.free):>7}", app.palette.quiet)),
        ]
        for name, size in parts:
            full = max(1 if size else 0, round(_BAR * size / largest))
            bar = Text.assemble(
                (app.glyphs.bar * full, app.palette.accent),
                (app.glyphs.line * (_BAR - full), app.palette.rule),
                (f" {figures.size(size):>7}", app.palette.text),
                end="",
            )
            rows.append((name, bar))
        return rows

    def _line(self, entry: Reclaimable, width: int) -> Text:
        palette = app_of(self).palette
        mark = "[x]" if _key(entry) in self._chosen else "[ ]"
        what = _WORDS[entry.kind] + (f" of {entry.name}" if entry.kind == "checkpoints" else "")
        what += f": {entry.name}" if entry.kind == "trash" else ""
        return join(
            plain(mark, palette.accent),
            plain(f"{figures.size(entry.bytes):>7}", palette.strong),
            plain(one_line(what, 60), palette.text if not entry.held else palette.quiet),
            plain(f"({entry.held})", palette.warning) if entry.held else None,
            gap=" ",
        )

    def _title(self) -> None:
        entries = self._use.reclaimable if self._use else ()
        chosen = [entry for entry in entries if _key(entry) in self._chosen]
        if not entries:
            words = "nothing"
        elif chosen:
            words = f"{figures.size(sum(entry.bytes for entry in chosen))} chosen"
        else:
            words = "space chooses, enter frees"
        self.query_one("#disk-title", PaneTitle).show(state=words)
        self.query_one(PickList).refresh()

    def action_choose(self) -> None:
        """Choose the marked one, or no longer."""
        marked = self.query_one(PickList).marked
        entry = next((e for e in self._use.reclaimable if _key(e) == marked), None) if self._use else None
        if entry is None:
            return
        if entry.held:
            app_of(self).notify(f"Not now: {entry.held}.", timeout=4)
            return
        self._chosen ^= {_key(entry)}
        self._title()

    def action_choose_all(self) -> None:
        """Choose everything, or nothing."""
        keys = {_key(entry) for entry in self._use.reclaimable if not entry.held} if self._use else set()
        self._chosen = set() if self._chosen == keys else keys
        self._title()

    def action_free(self) -> None:
        """Free what is chosen, after a question."""
        app, project = app_of(self), self._project
        wanted = [entry for entry in self._use.reclaimable if _key(entry) in self._chosen] if self._use else []
        if not wanted:
            app.notify("Choose something first, with space.", timeout=3)
            return

        def done(result: tuple[int, list[str]]) -> None:
            freed, kept = result
            app.notify("\n".join([f"Freed {figures.size(freed)}.", *kept[:3]]), timeout=6)
            self._chosen = set()
            self._look()

        def answer(yes: bool | None) -> None:
            if yes:
                app.background.start(lambda: clean(project, wanted), done)

        words = "; ".join(KINDS[kind] for kind in KINDS if any(entry.kind == kind for entry in wanted))
        size = figures.size(sum(entry.bytes for entry in wanted))
        app.push_screen(Confirm(f"Free {size}?", detail=f"Removes {words}. This cannot be undone.", yes="Free"), answer)


def _key(entry: Reclaimable) -> str:
    return f"{entry.kind}/{entry.name}"
