"""Static text that is never markup: strings are sanitised on their way in."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from forge_tui.text import plain


class Plain(Static):
    """A Static for text from anywhere. Give it a string, or a Text built with `forge_tui.text`."""

    def __init__(self, content: str | Text = "", *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(_safe(content), markup=False, id=id, classes=classes)

    def show(self, content: str | Text) -> None:
        """Replace the text."""
        self.update(_safe(content))


def _safe(content: str | Text) -> Text:
    return plain(content) if isinstance(content, str) else content
