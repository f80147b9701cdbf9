"""Text that is safe to show: everything that we did not write ourselves passes through here on its way to a widget."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text

from engine.text.sanitize import LINE_LIMIT, one_line, sanitize

__all__ = ["LINE_LIMIT", "fit", "join", "one_line", "plain", "sanitize"]


def plain(text: str, style: str | Style = "", *, limit: int = LINE_LIMIT) -> Text:
    """`text` sanitised, as a Text that no markup parser ever sees."""
    # A span, not a base style: what is appended to the line later must not inherit it.
    return Text(end="").append(sanitize(text, limit), style=style)


def join(*parts: str | Text | None, gap: str = " ") -> Text:
    """Parts side by side on one line; strings are sanitised, None and empty parts are left out."""
    line = Text(end="", no_wrap=True)
    for part in parts:
        if part is None or not len(part):
            continue
        if line:
            line.append(gap)
        line.append_text(plain(part) if isinstance(part, str) else part)
    return line


def fit(left: Text, right: Text, width: int, *, fill: str = " ", fill_style: str | Style = "") -> Text:
    """`left` and `right` at the two ends of a line of `width` cells; the left part is cut when there is no room."""
    line = left.copy()
    line.end = ""
    line.no_wrap = True
    room = max(0, width - right.cell_len)
    if line.cell_len > room:
        line.truncate(room, overflow="ellipsis")
    line.append(fill * max(0, room - line.cell_len), style=fill_style)
    line.append_text(right)
    return line
