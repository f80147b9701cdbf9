"""The bottom line: the next keys, from the bindings that are active now."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.widget import Widget

from forge_tui.access import app_of
from forge_tui.keys import ORDER, shown
from forge_tui.text import fit


class KeyHints(Widget):
    """Keys and what they do, most important first; keys that cannot work now are dim, and pressing one says why."""

    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> Text:
        app = app_of(self)
        width = self.size.width
        active = self.screen.active_bindings
        right = Text(end="")
        if "question_mark" in active or "f1" in active or self.screen.is_modal:
            right = Text.assemble(("?" if "question_mark" in active else "F1", app.palette.accent),
                                  (" all keys ", app.palette.quiet), end="")  # fmt: skip
        line = Text(" ", end="", no_wrap=True)
        self._spans = []
        seen: set[str] = set()
        wanted = [item for item in active.items() if item[1].binding.show and item[1].binding.id in ORDER]
        for key, found in sorted(wanted, key=lambda item: ORDER[item[1].binding.id or ""]):
            identity = found.binding.id or ""
            if identity in seen or app.hides(identity):
                continue
            seen.add(identity)
            label = app.label_of(identity, found.binding.description)
            piece = f"{shown(key)} {label}"
            if line.cell_len + len(piece) + right.cell_len + 1 > width:
                break
            start = line.cell_len
            line.append(shown(key), style=app.palette.accent if found.enabled else app.palette.quiet)
            line.append(f" {label}", style=app.palette.quiet)
            self._spans.append((start, line.cell_len, key))
            line.append("  ")
        return fit(line, right, width)

    async def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        for start, end, key in self._spans:
            if start <= event.x < end:
                app_of(self).simulate_key(key)
                return
