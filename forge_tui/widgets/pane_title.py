"""A pane's upper edge: a line with a title at the left and a state at the right."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from forge_tui.access import app_of
from forge_tui.text import plain


class PaneTitle(Widget):
    """`─ log ─────────────────── following ─`; the title is accented while its pane has the focus."""

    can_focus = False

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title = title
        self._state: str | Text = ""
        self._active = False

    def show(self, title: str | None = None, state: str | Text | None = None, *, active: bool | None = None) -> None:
        """Change what is given."""
        after = (
            self._title if title is None else title,
            self._state if state is None else state,
            self._active if active is None else active,
        )
        if after != (self._title, self._state, self._active):
            self._title, self._state, self._active = after
            self.refresh()

    def render(self) -> Text:
        app = app_of(self)
        line, rule = app.glyphs.line, app.palette.rule
        state = self._state if isinstance(self._state, Text) else plain(self._state, app.palette.quiet)
        left = Text.assemble((f"{line} ", rule), end="")
        left.append_text(plain(self._title, app.palette.accent if self._active else app.palette.strong))
        left.append(" ")
        right = Text(end="")
        if state:
            right = Text.assemble(" ", state, (f" {line}", rule), end="")
        room = self.size.width - right.cell_len
        left.truncate(max(0, room), overflow="ellipsis")
        left.append(line * max(0, room - left.cell_len), style=rule)
        left.append_text(right)
        left.no_wrap = True
        return left
