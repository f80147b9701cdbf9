"""The keys that work here, from the registry, with the user's own changes."""

from __future__ import annotations

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
            yield Plain(key_table(self._scopes, app.user_keys, app.palette))

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


def key_table(scopes: tuple[str, ...], keymap: Mapping[str, str], palette: Palette) -> Text:
    """The keys of some scopes in two columns, a heading above each scope."""
    table = Text(end="")
    width = max(len(shown_all(keys_of(key.id, keymap))) for key in KEYS if key.scope in scopes)
    for scope in scopes:
        table.append(f"{SCOPES[scope]}\n", style=palette.accent)
        for key in KEYS:
            if key.scope == scope:
                table.append(f"  {shown_all(keys_of(key.id, keymap)):<{width}}  ", style=palette.strong)
                table.append(f"{key.help}\n", style=palette.text)
        table.append("\n")
    table.right_crop(2)
    return table
