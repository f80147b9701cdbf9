"""The command palette: everything that the keys of this moment do, by name; and the themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from forge_tui.access import app_of
from forge_tui.keys import BY_ID, shown
from forge_tui.screens.base import ForgeScreen
from forge_tui.themes import ABOUT

_UNLISTED = ("list", "log", "modal", "confirm", "ask", "help")
"""Scopes of movement: nobody looks for these by name."""
_LISTED_ANYWAY = ("log.search", "log.level", "filter.open")


class ForgeCommands(Provider):
    """Commands that apply now; what is greyed on the bottom line is not listed."""

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], object]]]:
        app, screen = app_of(self.screen), self.screen
        own = screen if isinstance(screen, ForgeScreen) else None
        told: set[str] = set()
        for key, active in self.screen.active_bindings.items():
            known = BY_ID.get(active.binding.id or "")
            if known is None or not active.enabled or known.help in told or known.action == "command_palette":
                continue
            if known.scope in _UNLISTED and known.id not in _LISTED_ANYWAY:
                continue
            if own is not None and own.hidden(known.id):
                continue
            label = (own.label_of(known.id) if own is not None else None) or known.label
            told.add(known.help)
            run = partial(app.run_action, active.binding.action, active.node)
            yield f"{known.scope}: {label}", f"{known.help}  ({shown(key)})", run
        for name in app.theme_names:
            yield f"theme: {name}", ABOUT[name], partial(app.choose_theme, name)

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for name, text, run in self._commands():
            yield DiscoveryHit(name, run, help=text)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for name, text, run in self._commands():
            score = max(matcher.match(name), matcher.match(text) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=text)
