"""What every screen has: the head, the body, the keys at the foot, and a word when the terminal is too small."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual._context import active_app
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Event, ScreenResume
from textual.screen import Screen

from forge_tui.access import app_of
from forge_tui.widgets.key_hints import KeyHints
from forge_tui.widgets.plain import Plain
from forge_tui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from forge_tui.run_view import Changes

MINIMUM = (60, 16)
"""Columns and rows below which a screen only says that it is too small."""


class ForgeScreen(Screen[None], inherit_bindings=False):
    """A screen of the main row. Subclasses give `body` and, where it helps, the hooks.

    Of Textual's own keys only that for copying what the mouse has marked is kept: the others are in the registry.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c,super+c", "screen.copy_text", "Copy", show=False)]

    HELP_SCOPES: tuple[str, ...] = ()
    """Scopes of the key registry that the help shows for this screen."""

    AUTO_FOCUS = ""

    def __init__(self) -> None:
        app = active_app.get()
        # What the first resize would say: all widgets would be styled and laid out once more for it.
        bounds = zip(app.size, (app.HORIZONTAL_BREAKPOINTS, app.VERTICAL_BREAKPOINTS), strict=True)
        names = [name for length, points in bounds for name in self._get_breakpoint_classes(length, points or [])]
        super().__init__(classes=" ".join(names))
        self._resumed = False
        # The app reads its whole style sheet again for every new screen that does not know its count.
        self._css_update_count = app._css_update_count

    def compose(self) -> ComposeResult:
        """Head, body, foot."""
        yield StatusBar()
        with Vertical(classes="body"):
            yield from self.body()
        yield Plain(
            f"The terminal is too small.\nPlease make it at least {MINIMUM[0]} x {MINIMUM[1]}.", classes="too-small"
        )
        yield KeyHints()

    def body(self) -> ComposeResult:
        """The widgets between head and foot."""
        raise NotImplementedError

    def label_of(self, identity: str) -> str | None:
        """A better word on the bottom line for a key, as things are now."""
        return None

    def hidden(self, identity: str) -> bool:
        """Whether the bottom line leaves a key out now (it still works, or says why it cannot)."""
        return False

    def go_back(self) -> bool:
        """Undo the innermost thing (a filter, a zoom); False when there is nothing, and `esc` leaves the screen."""
        return False

    def run_changed(self, changes: Changes) -> None:
        """The run that the app watches has news. Called at most twice a second, and only while this screen is shown."""

    def arrived(self) -> None:
        """This screen is shown (again): bring it up to date."""

    def on_mount(self) -> None:
        """The panes are there now."""
        self._arrive()

    async def on_event(self, event: Event) -> None:
        """Widgets that have just been mounted need not be styled again because their screen is shown."""
        if isinstance(event, ScreenResume) and not self._resumed:
            event.refresh_styles = False
        await super().on_event(event)

    def on_screen_resume(self) -> None:
        """The first resume belongs to the mount, before or after it."""
        if self._resumed:
            self._arrive()
        self._resumed = True

    def _arrive(self) -> None:
        self.query_one(StatusBar).refresh()
        self.arrived()
        app_of(self).visited()
