"""The line that opens on `/`: type to narrow what a pane shows, enter to keep it, esc to see all again."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from forge_tui.widgets.plain import Plain


class FilterBar(Horizontal):
    """Hidden until it is opened; says what was typed with every change."""

    class Changed(Message):
        """The text is another one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def compose(self) -> ComposeResult:
        """A slash and a field."""
        yield Plain("/")
        yield Input(compact=True, select_on_focus=False)
        yield Plain("enter keeps it  esc shows all ", classes="quiet")

    def open(self) -> None:
        """Show the line and type."""
        self.add_class("-open")
        field = self.query_one(Input)
        field.disabled = False
        field.focus()

    def on_mount(self) -> None:
        """Not in the order of tab until it is open."""
        self.query_one(Input).disabled = True

    @property
    def is_open(self) -> bool:
        """Whether it is shown."""
        return self.has_class("-open")

    def close(self) -> bool:
        """Hide it and show everything again; False when there was nothing to close."""
        if not self.is_open:
            return False
        field = self.query_one(Input)
        field.value = ""
        field.disabled = True
        self.remove_class("-open")
        self.post_message(self.Changed(""))
        return True

    @on(Input.Changed)
    def typed(self, event: Input.Changed) -> None:
        """Narrow as one types."""
        event.stop()
        if self.is_open:
            self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def keep(self, event: Input.Submitted) -> None:
        """Keep the filter and give the keys back to the screen; an empty one closes the line."""
        event.stop()
        if not event.value:
            self.close()
        self.screen.set_focus(None)
