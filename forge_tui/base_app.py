"""What any app of ours needs before it has a screen: looks, settings, words to the user, work in the background."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.notifications import SeverityLevel
from textual.scrollbar import ScrollBar

from engine.errors import ForgeError
from forge_tui.ascii_filter import AsciiFilter
from forge_tui.background import Background, Finished
from forge_tui.glyphs import ASCII, UNICODE, Glyphs
from forge_tui.palette import Palette, palette_of
from forge_tui.settings import Settings, log_crash, remember, save_settings
from forge_tui.terminal import Capabilities
from forge_tui.text import one_line, sanitize
from forge_tui.themes import CONSOLE, THEMES
from forge_tui.widgets.block_scroll_bar import BlockScrollBar


class BaseApp(App[None]):
    """Textual's app with our themes and character sets, safe toasts, and errors that never end it."""

    CSS_PATH = "app.tcss"
    NOTIFICATION_TIMEOUT = 6

    def __init__(self, *, theme: str | None, capabilities: Capabilities, settings: Settings) -> None:
        self.capabilities = capabilities
        super().__init__(ansi_color=None if capabilities.colors else True)
        self.animation_level = "none"
        self.settings = settings
        self.glyphs: Glyphs = ASCII if capabilities.ascii_only else UNICODE
        if capabilities.ascii_only:
            self.add_class("-ascii")
            ScrollBar.renderer = BlockScrollBar
            # Textual has no public way to add a filter of one's own.
            self._filters.append(AsciiFilter())
        self.background = Background(self)
        self._palette: tuple[str, Palette] | None = None
        for own in THEMES.values():
            self.register_theme(own)
        self._begin_with_theme(self._first_theme(theme))

    # ---- looks

    def _first_theme(self, wanted: str | None) -> str:
        if not self.capabilities.colors or self.capabilities.sixteen:
            return CONSOLE
        for name in (wanted, self.settings.theme):
            if name in THEMES:
                return name
        return self.capabilities.default_theme

    def _begin_with_theme(self, name: str) -> None:
        """Take a theme before the style sheet is read, so that it is not read again for it."""
        self.set_reactive(App.theme, name)
        self.set_class(self.current_theme.dark, "-dark-mode")
        self.set_class(not self.current_theme.dark, "-light-mode")
        self.add_class(f"-theme-{name}")
        self.stylesheet.set_variables(self.get_css_variables())
        self._refresh_truecolor_filter(self.ansi_theme)

    @property
    def theme_names(self) -> list[str]:
        """The themes that this terminal can show."""
        return [CONSOLE] if not self.capabilities.colors or self.capabilities.sixteen else list(THEMES)

    @property
    def palette(self) -> Palette:
        """Styles of the current theme for our own drawing."""
        if self._palette is None or self._palette[0] != self.theme:
            variables = self.theme_variables or self.get_css_variables()
            self._palette = (self.theme, palette_of(variables, ansi=self.current_theme.ansi))
        return self._palette[1]

    def choose_theme(self, name: str) -> None:
        """Switch to a theme and remember it."""
        if name not in self.theme_names:
            return
        self.theme = name
        self.remember_settings(theme=name)

    def action_next_theme(self) -> None:
        """Switch to the next theme."""
        names = self.theme_names
        if len(names) == 1:
            self.notify("This terminal shows one theme: its own 16 colours." if self.capabilities.colors
                        else "NO_COLOR is set: there is one theme.")  # fmt: skip
            return
        self.choose_theme(names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0])
        self.notify(f"Theme: {self.theme}", timeout=2)

    def remember_settings(self, **changes: Any) -> None:
        """Change and save settings."""
        self.settings = replace(self.settings, **changes)
        self._save_settings()

    def remember_answer(self, name: str, answer: str) -> None:
        """Remember something small, such as the last prompt."""
        self.settings = remember(self.settings, name, answer)
        self._save_settings()

    def _save_settings(self) -> None:
        settings = self.settings
        self.background.start(lambda: save_settings(settings), group="settings")

    # ---- words to the user

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """A toast. Whatever the text holds, it is shown as it is: there is no markup."""
        super().notify(sanitize(message, 400), title=one_line(title), severity=severity, timeout=timeout, markup=False)

    def where(self, error: ForgeError) -> str:
        """The place of an error, as short as it can be said."""
        return error.where

    def show_error(self, error: ForgeError) -> None:
        """An error that the user can act on, as a toast: what happened, where, and what to do."""
        where = f"{self.where(error)}: " if error.file else ""
        self.notify(f"{where}{error.text}\n{error.fix}".strip(), severity="error", timeout=12)

    def unexpected(self, error: Exception) -> None:
        """An error that is ours: into the log, with a word to the user."""
        path = log_crash("".join(traceback.format_exception(error)))
        self.notify(f"{type(error).__name__}: {error}\nThe traceback is in {path}", severity="error", timeout=15)

    def on_finished(self, message: Finished) -> None:
        """Background work has a result. While the app closes its widgets are gone already, and nobody wants it."""
        if self.is_running:
            message.rest()
