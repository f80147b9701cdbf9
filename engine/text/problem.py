"""What a reader could not place or had to change, while it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Text that is in no document, or that a reader understood in a way worth telling."""

    code: str
    """The finding's code."""
    line: int
    """1-based line where it starts."""
    text: str
    """The text in question, as it stands in the file (possibly its beginning only)."""
    lost: int = 0
    """Lines that are in no document because of this; 0 when nothing is lost."""


Listener = Callable[[Problem], None]
"""Where a reader sends its problems."""

FATAL = frozenset({"bad_json", "json_shape", "bad_row", "row_too_long"})
"""Codes that say the file is not what it seems: reading without a listener stops at the first one."""
