"""The two lines at the top: what is being trained where and how it is going; and the row of screens."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.widget import Widget

from forge_tui.access import app_of
from forge_tui.screens import SCREENS
from forge_tui.text import fit, join


class StatusBar(Widget):
    """Shows `app.headline()` and the tabs; a click on a tab goes there."""

    can_focus = False

    def render(self) -> Text:
        app = app_of(self)
        width = self.size.width
        left, right = app.headline()
        first = fit(join(Text(" forge-tui", style=app.palette.accent), left, gap="  "), join(right, " "), width)
        return Text.assemble(first, "\n", self._tabs(width), end="")

    def _tabs(self, width: int) -> Text:
        app = app_of(self)
        line = Text(end="", no_wrap=True)
        for entry in SCREENS:
            if entry.name == app.current_mode:
                line.append(f"[{entry.number} {entry.title}]", style=app.palette.mark)
            else:
                line.append(" ")
                line.append(entry.number, style=app.palette.text)
                line.append(f" {entry.title} ", style=app.palette.quiet)
        line.truncate(width)
        return line

    def on_click(self, event: events.Click) -> None:
        """Go to the tab under the pointer."""
        if event.y != 1:
            return
        at = 0
        for entry in SCREENS:
            at += len(entry.title) + 4
            if event.x < at:
                app_of(self).show_screen(entry.name)
                return
