"""Draws frames, blocks and dots in ASCII, for consoles whose font has no pictures for them."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_GROUPS = {
    "-": "─━┄┅┈┉╌╍═╴╶╸╺╼╾▔⎺‾–—",
    "|": "│┃┆┇┊┋╎╏║╵╷╹╻╽╿▌▐▎▊▍▋▏▉",
    "+": "┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬╭╮╯╰",
    "_": "▁▂▃▄",
    "#": "▅▆▇█▀",
    "~": "…",
    "*": "●•◉",
    "o": "○",
    ">": "▸▶›",
    "v": "▼▾",
    "^": "▲▴↑",
}
TABLE = {ord(char): replacement for replacement, group in _GROUPS.items() for char in group}
"""One cell for one cell, so that nothing moves."""


class AsciiFilter(LineFilter):
    """Replaces what we and Textual draw; letters of any script stay as they are."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in ASCII."""
        return [segment if segment.text.isascii() else _translated(segment) for segment in segments]


def _translated(segment: Segment) -> Segment:
    return Segment(segment.text.translate(TABLE), segment.style, segment.control)
