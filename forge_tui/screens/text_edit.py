"""Several lines of text from the user."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import TextArea

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import plain, sanitize
from forge_tui.widgets.plain import Plain


class TextEdit(ForgeModal[str]):
    """Answers the text, or None for esc."""

    BINDINGS = bindings("text_edit")

    def __init__(self, heading: str, *, value: str = "", detail: str = "", limit: int = 4000) -> None:
        super().__init__(heading)
        self._value = value
        self._detail = detail
        self._limit = limit

    def content(self) -> ComposeResult:
        """An area to write in."""
        if self._detail:
            yield Plain(self._detail, classes="dialog-text")
        yield TextArea(sanitize(self._value), id="text", compact=True, show_line_numbers=False)
        yield Plain(classes="objection")

    def on_mount(self) -> None:
        """Write at once, at the end."""
        area = self.query_one(TextArea)
        area.focus()
        area.move_cursor(area.document.end)

    def action_accept(self) -> None:
        """Answer, or say what is wrong."""
        text = self.query_one(TextArea).text
        if len(text) > self._limit:
            words = f"! At most {self._limit:,} characters; these are {len(text):,}."
            self.query_one(".objection", Plain).show(plain(words, app_of(self).palette.warning))
        else:
            self.dismiss(text)
