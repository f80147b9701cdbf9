"""All advice of a run, newest first, with what to do about it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from engine.events import Advice
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.palette import severity
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import one_line
from forge_tui.widgets.plain import Plain


class AdviceScreen(ForgeModal[None]):
    """A list to read."""

    HEADING = "Advice"
    BINDINGS = bindings("help")
    CLOSES_WITH_HELP = True

    def __init__(self, advice: Sequence[Advice]) -> None:
        super().__init__()
        self._advice = advice

    def content(self) -> ComposeResult:
        """The list."""
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        text = Text(end="")
        for advice in reversed(self._advice):
            clock = time.strftime("%H:%M", time.localtime(advice.time))
            glyph = glyphs.hint if advice.severity == "hint" else glyphs.warn
            text.append(f"{clock} ", style=palette.quiet)
            text.append(f"{glyph} {advice.severity}  ", style=severity(palette, advice.severity))
            text.append(f"{one_line(advice.text, 600)}\n", style=palette.text)
            if advice.fix:
                text.append(f"      {one_line(advice.fix, 600)}\n", style=palette.quiet)
        if not self._advice:
            text = Text("This run needs no advice so far.", style=palette.quiet, end="")
        with VerticalScroll(can_focus=True, classes="dialog-list"):
            yield Plain(text)

    def on_mount(self) -> None:
        """Scroll with the keyboard at once."""
        self.query_one(VerticalScroll).focus()

    def action_down(self) -> None:
        """One line down."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_up(self) -> None:
        """One line up."""
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_page_down(self) -> None:
        """One page down."""
        self.query_one(VerticalScroll).scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        """One page up."""
        self.query_one(VerticalScroll).scroll_page_up(animate=False)
