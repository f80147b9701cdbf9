"""Are you sure: says what is lost, marks Cancel, and takes y or n."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import plain
from forge_tui.widgets.plain import Plain


class Confirm(ForgeModal[bool]):
    """Answers True or False (or None for esc). The cautious answer is marked at first."""

    BINDINGS = bindings("confirm")

    def __init__(
        self, question: str, *, detail: str = "", yes: str = "Yes", no: str = "Cancel", danger: bool = True
    ) -> None:
        super().__init__(question)
        self._detail = detail
        self._names = (yes, no)
        self._marked = 1 if danger else 0

    def content(self) -> ComposeResult:
        """What it means, and two buttons."""
        if self._detail:
            yield Plain(self._detail, classes="dialog-text")
        with Horizontal(classes="buttons"):
            yield Plain(classes="button", id="yes")
            yield Plain(classes="button", id="no")

    def on_mount(self) -> None:
        """Draw the buttons."""
        self._mark()

    def _mark(self) -> None:
        palette = app_of(self).palette
        for index, identity in enumerate(("yes", "no")):
            marked = index == self._marked
            text = f"[ {self._names[index]} ]" if marked else f"  {self._names[index]}  "
            self.query_one(f"#{identity}", Plain).show(plain(text, palette.mark if marked else palette.quiet))

    def action_other(self) -> None:
        """Mark the other button."""
        self._marked = 1 - self._marked
        self._mark()

    def action_press(self) -> None:
        """Press the marked button."""
        self.dismiss(self._marked == 0)

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_close(self) -> None:
        """Do not."""
        self.dismiss(False)
