"""Waiting for an errand on data files, and looking at what it would change before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.errand_process import ErrandProcess
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import one_line, plain
from forge_tui.widgets.pick_list import PickList, Row
from forge_tui.widgets.plain import Plain

LOOK_SECONDS = 0.2


class Waiting(ForgeModal[ErrandProcess]):
    """Says how far an errand is. Answers it when it is done, or None for esc, which ends it."""

    def __init__(self, heading: str, errand: ErrandProcess) -> None:
        super().__init__(heading)
        self._errand = errand

    def content(self) -> ComposeResult:
        """One line."""
        yield Plain(classes="dialog-text", id="waiting")

    def on_mount(self) -> None:
        """Look from time to time."""
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self._errand.done:
            self.dismiss(self._errand)
            return
        words = f"{figures.duration(self._errand.seconds)} so far. The file itself is not touched. esc stops it."
        self.query_one("#waiting", Plain).show(plain(words, app_of(self).palette.quiet))

    def action_close(self) -> None:
        """Do without it."""
        self._errand.cancel()
        self.dismiss(None)


class Review(ForgeModal[bool]):
    """What would change, line by line. Answers True to keep the copy."""

    BINDINGS = bindings("review")

    def __init__(self, heading: str, summary: Sequence[str], changes: Sequence[str]) -> None:
        super().__init__(heading)
        self._summary = summary
        self._changes = changes

    def content(self) -> ComposeResult:
        """The sums above, the single changes below."""
        yield Plain("\n".join(self._summary), classes="dialog-text")
        yield PickList(id="review-list")

    def on_mount(self) -> None:
        """Fill the list."""
        found = self.query_one(PickList)
        found.display = bool(self._changes)
        found.show([Row(str(index), partial(self._line, change)) for index, change in enumerate(self._changes)])
        found.focus()

    def on_resize(self) -> None:
        """As high as there is room."""
        self.query_one(PickList).styles.height = max(2, min(len(self._changes), self.size.height - 10))

    def _line(self, change: str, width: int) -> Text:
        where, _, rest = change.partition("  ")
        palette = app_of(self).palette
        line = plain(one_line(where, 60), palette.quiet)
        line.append("  ")
        line.append_text(plain(one_line(rest, 300), palette.text))
        line.truncate(width, overflow="ellipsis")
        return line

    def action_accept(self) -> None:
        """Keep the copy."""
        self.dismiss(True)
