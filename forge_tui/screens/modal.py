"""Dialogs: a small pane over the screen, closed by esc, with its own keys at the foot."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from forge_tui.keys import BY_ID, bindings
from forge_tui.widgets.key_hints import KeyHints
from forge_tui.widgets.plain import Plain

Answer = TypeVar("Answer")


class ForgeModal(ModalScreen[Answer], Generic[Answer]):
    """A dialog. Subclasses give `content`; `dismiss` answers, esc answers None."""

    BINDINGS = bindings("modal")
    HEADING = ""
    """Title in the dialog's frame."""
    CLOSES_WITH_HELP = False
    """Whether the key that lists keys closes it instead."""

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

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes of the registry whose keys work here, those of the dialog itself first."""
        chain = [self, *self.query(Widget)]
        bound = [binding.id or "" for node in chain for _, binding in node._bindings]
        found = list(dict.fromkeys(BY_ID[identity].scope for identity in bound if identity in BY_ID))
        return (*[scope for scope in found if scope != "modal"], "modal")

    def action_close(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)
