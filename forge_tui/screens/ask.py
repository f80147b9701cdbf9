"""One line of text from the user, checked before it is accepted."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from engine.errors import ForgeError
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import plain, sanitize
from forge_tui.widgets.plain import Plain


class Ask(ForgeModal[str]):
    """Answers the text, or None for esc. `check` raises a ForgeError (or ValueError) to refuse it at the field."""

    BINDINGS = bindings("ask")

    def __init__(
        self, heading: str, *, detail: str = "", value: str = "", example: str = "",
        check: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(heading)
        self._detail = detail
        self._value = value
        self._example = example
        self._check = check

    def content(self) -> ComposeResult:
        """What is asked, the field, and room for an objection."""
        if self._detail:
            yield Plain(self._detail, classes="dialog-text")
        yield Input(sanitize(self._value), placeholder=sanitize(self._example), id="answer", compact=True)
        yield Plain(classes="objection")

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def accept(self, event: Input.Submitted) -> None:
        """Answer, or say what is wrong."""
        event.stop()
        text = event.value.strip()
        try:
            if self._check is not None:
                self._check(text)
        except ForgeError as error:
            self._object(f"{error.text} {error.fix}".strip())
        except ValueError as error:
            self._object(str(error))
        else:
            self.dismiss(text)

    def _object(self, text: str) -> None:
        self.query_one(".objection", Plain).show(plain(f"! {text}", app_of(self).palette.warning))

    def action_accept(self) -> None:
        """As enter in the field."""
        field = self.query_one(Input)
        field.post_message(Input.Submitted(field, field.value))
