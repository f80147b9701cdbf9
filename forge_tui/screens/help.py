"""The keys that work here, from the registry, with the user's own changes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from forge_tui.access import app_of
from forge_tui.keys import KEYS, SCOPES, bindings, keys_of, shown_all
from forge_tui.palette import Palette
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import plain
from forge_tui.widgets.plain import Plain


class HelpScreen(ForgeModal[None]):
    """All keys of the screen below, then those that work everywhere."""

    HEADING = "Keys"
    BINDINGS = bindings("help")
    CLOSES_WITH_HELP = True

    def __init__(self, scopes: tuple[str, ...], text: str = "") -> None:
        super().__init__()
        self._scopes = scopes
        self._text = text

    def content(self) -> ComposeResult:
        """A scrolling list."""
        app = app_of(self)
        with VerticalScroll(can_focus=True, id="help-list"):
            if self._text:
                yield Plain(plain(self._text, app.palette.quiet), classes="dialog-text")
            yield Plain(key_table(self._scopes, app.user_keys, app.palette, min(66, app.size.width * 94 // 100 - 6)))

    def on_mount(self) -> None:
        """Scroll with the keyboard at once."""
        self.query_one(VerticalScroll).focus()

    def _list(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    def action_down(self) -> None:
        """One line down."""
        self._list().scroll_down(animate=False)

    def action_up(self) -> None:
        """One line up."""
        self._list().scroll_up(animate=False)

    def action_page_down(self) -> None:
        """One page down."""
        self._list().scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        """One page up."""
        self._list().scroll_page_up(animate=False)


def key_table(scopes: tuple[str, ...], keymap: Mapping[str, str], palette: Palette, width: int) -> Text:
    """The keys of some scopes in two columns of together `width` cells, a heading above each scope."""
    table = Text(end="")
    keys = {key.id: shown_all(keys_of(key.id, keymap)) for key in KEYS if key.scope in scopes}
    column = min(16, max(len(text) for text in keys.values()))
    for scope in scopes:
        table.append(f"{SCOPES[scope]}\n", style=palette.accent)
        for key in KEYS:
            if key.scope == scope:
                _entry(table, keys[key.id], key.help, column, max(20, width - column - 4), palette)
        table.append("\n")
    table.right_crop(2)
    return table


def _entry(table: Text, keys: str, sentence: str, column: int, room: int, palette: Palette) -> None:
    """One key, its sentence wrapped beside it."""
    for index, line in enumerate(textwrap.wrap(sentence, room)):
        table.append(f"  {keys if index == 0 else '':<{column}}  ", style=palette.strong)
        table.append(f"{line}\n", style=palette.text)
