"""What screens and widgets may ask of the app; kept apart from `forge_tui.app` so that imports stay acyclic."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.widget import Widget

if TYPE_CHECKING:
    from textual.screen import Screen

    from forge_tui.app import ForgeApp


def app_of(node: Widget | Screen[object]) -> ForgeApp:
    """The app that a widget or screen lives in, with its own type."""
    return cast("ForgeApp", node.app)
