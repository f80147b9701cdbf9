"""Make any text safe to show in a terminal: what could move the cursor, hide, or reorder becomes a visible glyph."""

from __future__ import annotations

import re

LINE_LIMIT = 2000
"""Characters of one line that are shown; the rest is replaced by an ellipsis."""

TAB_WIDTH = 4
"""Columns between tab stops."""

REPLACEMENT = "\ufffd"
"""What stands for a character that has no picture of its own."""

_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f"  # C0 but \t and \n, DEL: escape sequences start here
    "\x80-\x9f"  # C1: CSI and OSC as single characters
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # invisible: soft hyphen, joiners, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, line separators, bidirectional controls, BOM
    "\ufff9-\ufffb\ufffe\uffff"  # interlinear annotation, noncharacters
    "\U000e0000-\U000e0fff"  # tags: invisible ASCII
    "\ud800-\udfff"  # lone surrogates cannot be encoded
    "]"
)


def sanitize(text: str, limit: int = LINE_LIMIT) -> str:
    """Text that any terminal shows as it is, on as many lines as `text` has.

    Newlines stay, tabs become spaces, C0 controls become their pictures (U+2400 + n), DEL becomes U+2421, and every
    other invisible, reordering or unencodable character becomes U+FFFD. Lines longer than `limit` end in an ellipsis.
    The result contains no markup escapes: show it as plain text, never through a markup parser.
    """
    if not text:
        return ""
    if len(text) > limit:
        # Cut before the character work: expanding tabs never shortens a line, so what is cut here is cut anyway.
        text = "\n".join(line if len(line) <= limit else line[:limit] + "…" for line in text.split("\n"))
    text = _UNSAFE.sub(_visible, text)
    if "\t" in text:
        text = text.expandtabs(TAB_WIDTH)
        text = "\n".join(line if len(line) <= limit + 1 else line[:limit] + "…" for line in text.split("\n"))
    return text


def one_line(text: str, limit: int = 80) -> str:
    """`text` sanitised, on one line with single spaces, of at most `limit` characters."""
    text = " ".join(text[: 8 * limit + 64].split())
    safe = sanitize(text, max(limit * 4, 16))
    return safe if len(safe) <= limit else safe[: max(limit - 1, 0)] + "…"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else REPLACEMENT
