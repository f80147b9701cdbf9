"""Dialogs: a small pane over the screen, closed by esc, with its own keys at the foot."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from forge_tui.keys import bindings
from forge_tui.widgets.key_hints import KeyHints
from forge_tui.widgets.plain import Plain

Answer = TypeVar("Answer")


class ForgeModal(ModalScreen[Answer], Generic[Answer]):
    """A dialog. Subclasses give `content`; `dismiss` answers, esc answers None."""

    BINDINGS = bindings("modal")
    HEADING = ""
    """Title in the dialog's frame."""

    def __init__(self, heading: str = "") -> None:
        super().__init__()
        self._heading = heading or self.HEADING

    def compose(self) -> ComposeResult:
        """A framed box in the middle, the keys at the foot."""
        with Vertical(classes="dialog"):
            if self._heading:
                yield Plain(self._heading, classes="dialog-heading")
            yield from self.content()
        yield KeyHints()

    def content(self) -> ComposeResult:
        """The widgets in the box."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)
