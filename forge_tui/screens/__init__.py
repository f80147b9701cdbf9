"""One file a screen, and the list of the screens that the number keys reach."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forge_tui.screens.base import ForgeScreen


@dataclass(frozen=True, slots=True)
class Entry:
    """A screen of the main row. Its module is imported when it is first shown."""

    name: str
    """Name of the mode, and the module below forge_tui.screens."""
    number: str
    """The number key, as shown."""
    title: str
    """As shown in the row of tabs."""
    kind: str
    """The class."""

    def make(self) -> ForgeScreen:
        """A new instance."""
        module = import_module(f"forge_tui.screens.{self.name}")
        screen: ForgeScreen = getattr(module, self.kind)()
        return screen


SCREENS: tuple[Entry, ...] = (
    Entry("data", "1", "Data", "DataScreen"),
    Entry("models", "2", "Models", "ModelsScreen"),
    Entry("train", "3", "Train", "TrainScreen"),
    Entry("manager", "4", "Manager", "ManagerScreen"),
    Entry("chat", "5", "Chat", "ChatScreen"),
    Entry("runs", "6", "Runs", "RunsScreen"),
)
"""In the order of the number keys."""

BY_NAME: dict[str, Entry] = {entry.name: entry for entry in SCREENS}
