"""One of several things, each with a word on what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import one_line, plain
from forge_tui.widgets.block_list import Block, BlockList
from forge_tui.widgets.plain import Plain
from forge_tui.wrapping import wrap_line


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose."""

    key: str
    title: str
    about: str = ""


class Choose(ForgeModal[str]):
    """Answers the key of the choice, or None for esc."""

    BINDINGS = bindings("choice")

    def __init__(self, heading: str, choices: Sequence[Choice], *, detail: str = "", marked: str = "") -> None:
        super().__init__(heading)
        self._choices = choices
        self._detail = detail
        self._first = marked

    def content(self) -> ComposeResult:
        """The list."""
        if self._detail:
            yield Plain(self._detail, classes="dialog-text")
        yield BlockList(id="choose-list")

    def on_mount(self) -> None:
        """Fill the list; it is as high as it needs."""
        found = self.query_one(BlockList)
        found.show([Block(choice.key, partial(self._lines, choice)) for choice in self._choices])
        found.mark(self._first)
        found.focus()

    def on_resize(self) -> None:
        """As high as the choices, as far as there is room."""
        found = self.query_one(BlockList)
        width = max(10, min(72, self.size.width * 94 // 100) - 6)  # the dialog's, less frame, padding and cursor
        rows = sum(len(self._lines(choice, width)) for choice in self._choices)
        found.styles.height = max(1, min(rows, self.size.height - 10))

    def _lines(self, choice: Choice, width: int) -> list[Text]:
        palette = app_of(self).palette
        column = max(len(one.title) for one in self._choices) + 2
        if column > 26 or not choice.about:
            rows = [plain(one_line(choice.title, width), palette.strong)]
            return rows + [plain(f"  {row}", palette.quiet) for row in wrap_line(one_line(choice.about, 300), width - 2)
                           if choice.about]  # fmt: skip
        pieces = wrap_line(one_line(choice.about, 300), max(10, width - column))
        first = Text.assemble((f"{one_line(choice.title, 30):<{column}}", palette.strong), (pieces[0], palette.quiet))
        return [first, *(plain(" " * column + piece, palette.quiet) for piece in pieces[1:])]

    def action_accept(self) -> None:
        """Take the marked one."""
        self.dismiss(self.query_one(BlockList).marked)
