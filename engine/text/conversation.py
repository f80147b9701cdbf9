"""What every reader yields: documents made of turns, each knowing its file and lines."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool", "text"]
"""Who speaks. `text` is plain prose: a document of one turn without a speaker."""

TOOL_TAGS = ("<tool_call>", "</tool_call>", "<tool_result>", "</tool_result>")
"""The tool dialect; each tag is one token when a reader marked its turn, and plain text anywhere else."""


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One speaker's text. A struct: a reader makes thousands a megabyte, and a dataclass takes ten times as long."""

    role: Role
    """Who speaks."""
    text: str
    """What is said, without the marker; tool tags stay in the text."""
    first_line: int = 0
    """1-based line of the marker (or of the first line of prose); 0 when the format has no lines."""
    last_line: int = 0
    """1-based last line that belongs to the turn."""


class Document(msgspec.Struct, frozen=True):
    """The unit of training: a conversation or a piece of prose. Never split between train and validation."""

    turns: tuple[Turn, ...]
    """In order; prose has exactly one turn with the role `text`."""
    file: str = ""
    """Path of the file as the user gave it."""
    first_line: int = 0
    """1-based first line in the file."""
    last_line: int = 0
    """1-based last line in the file."""
    format: str = ""
    """Name of the format that the reader took."""
    note: str = ""
    """What the reader repaired or found odd, in words; empty when nothing."""

    @property
    def is_prose(self) -> bool:
        """Whether this is plain text rather than a conversation."""
        return len(self.turns) == 1 and self.turns[0].role == "text"

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of all turns: what bits per byte are counted over."""
        return sum(len(turn.text.encode("utf-8", "surrogatepass")) for turn in self.turns)
