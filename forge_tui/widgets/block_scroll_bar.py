"""A scroll bar of whole cells, for consoles whose font has no eighths of a block."""

from __future__ import annotations

from textual.scrollbar import ScrollBarRender


class BlockScrollBar(ScrollBarRender):
    """Draws nothing but spaces, in reverse where the handle is."""

    VERTICAL_BARS = [" "]  # noqa: RUF012 - Textual's own attribute
    HORIZONTAL_BARS = [" "]  # noqa: RUF012 - Textual's own attribute
