"""The pictures that the app draws itself, in Unicode and in ASCII (Linux console, `--ascii`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """One character set."""

    name: str
    running: str = "●"
    """A run is training."""
    resting: str = "‖"
    """A run is paused."""
    ended: str = "○"
    """A run is not going."""
    good: str = "✓"
    warn: str = "!"
    bad: str = "✗"
    hint: str = "·"
    cursor: str = "▸"
    separator: str = "·"
    """Between facts on one line."""
    line: str = "─"
    """Pane titles and the rest of a progress bar."""
    bar: str = "━"
    """The done part of a progress bar."""
    legend_line: str = "──"
    legend_dots: str = "••"
    up: str = "↑"
    down: str = "↓"
    best: str = "▼"
    about: str = "~"
    plus_minus: str = "±"
    differs: str = "≠"
    """Before two values that are not the same."""
    ellipsis: str = "…"
    spark: str = "▁▂▃▄▅▆▇█"
    """From low to high."""
    marker: str = "braille"
    """plotext's marker for curves."""
    dot: str = "•"
    """Marker of single points in a chart."""
    trained: str = "█"
    """Text that is trained in full."""
    weighted: str = "▒"
    """Text that counts less."""
    masked: str = "░"
    """Text that does not count."""
    edge: str = "▌"
    """Beside tool calls and their results."""
    thumb: str = "┃"
    """Of a scroll bar that we draw ourselves."""
    return_: str = "↵"
    """A line end that matters."""
    border: str = "round"
    """Textual's border of panes and dialogs."""


UNICODE = Glyphs(name="unicode")

ASCII = Glyphs(
    name="ascii", running="*", resting="=", ended="o", good="OK", bad="X", hint="-", cursor=">", separator="-",
    line="-", bar="#", legend_line="--", legend_dots="oo", up="^", down="v", best="v", plus_minus="+-", differs="!=",
    ellipsis="...", spark="_.-=*#", marker="*", dot="o", border="ascii",
    trained="=", weighted="~", masked=".", edge="|", thumb="#", return_=" ",
)  # fmt: skip
