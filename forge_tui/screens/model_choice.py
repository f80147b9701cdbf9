"""Choose one of the models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.text import Text
from textual.app import ComposeResult

from engine.library.catalogue import ModelEntry
from engine.library.lineage import Branch
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.screens.model_rows import model_line, name_width
from forge_tui.widgets.pick_list import PickList, Row


class ModelChoice(ForgeModal[str]):
    """Answers the name of a model."""

    BINDINGS = bindings("choice")

    def __init__(self, heading: str, entries: Sequence[ModelEntry]) -> None:
        super().__init__(heading)
        self._entries = entries

    def content(self) -> ComposeResult:
        """The models."""
        yield PickList(id="model-choice")

    def on_mount(self) -> None:
        """Fill the list."""
        pick = self.query_one(PickList)
        pick.styles.height = min(12, len(self._entries))
        pick.show([Row(entry.name, partial(self._line, entry), entry.name) for entry in self._entries])
        pick.focus()

    def _line(self, entry: ModelEntry, width: int) -> Text:
        app = app_of(self)
        branches = [Branch(other, 0, ()) for other in self._entries]
        return model_line(Branch(entry, 0, ()), width, name_width(branches), app.palette, app.glyphs)

    def action_accept(self) -> None:
        """Answer the marked one."""
        self.dismiss(self.query_one(PickList).marked)
