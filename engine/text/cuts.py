"""Where a file of a format may be cut so that what follows can be read alone: at the line that opens a document."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.text.readers.prose import HEADING, SEPARATOR
from engine.text.readers.speakers import ROLES

REACH = 1 << 20
"""Bytes that are looked through for a document's first line; a longer document is cut inside."""

_BLANK = rb"\n[ \t\r]*\n"
_AFTER_SEPARATOR = rb"|\n" + re.escape(SEPARATOR).encode() + rb"[ \t\r]*\n"
_OPENERS = "|".join(sorted((word for word, (_, role) in ROLES.items() if role != "assistant"), key=len, reverse=True))
_COMMENTS = rb"(?:#[^\n]*\n)*"
_BANNER = rb"\n#[ \t]*[=\-#*~_+]{3,}[^\n]*\n"
"""A comment right under a text belongs to it, unless it is drawn like this (readers.speakers)."""
_SPEAKERS = (
    rb"(?:" + _BLANK + rb"|" + _BANNER + rb")" + _COMMENTS
    + rb"(?=[ \t]*(?:" + _OPENERS.encode() + ")(?::|：)".encode() + rb")" + _AFTER_SEPARATOR
)  # fmt: skip
_HEADING = HEADING.pattern.replace(r"\Z", r"(?=\r?\n)").encode()
_LINE = re.compile(rb"\n")
_PATTERNS: dict[str, re.Pattern[bytes]] = {
    **dict.fromkeys(("qa", "chat", "router"), re.compile(_SPEAKERS)),
    "instruction": re.compile(
        _BLANK + rb"(?=###[ \t]*(?:instruction|system)\b)|\n(?=Below is an instruction that)" + _AFTER_SEPARATOR,
        re.IGNORECASE,
    ),
    "chatml": re.compile(
        rb"\n(?=[ \t]*<\|im_start\|>[ \t]*(?:system|developer))|"
        + _BLANK + rb"(?=[ \t]*<\|im_start\|>)|<\|endoftext\|>[ \t\r]*\n"
    ),
    "text": re.compile(_BLANK + rb"(?=[^\s])" + _AFTER_SEPARATOR),
    "text-headings": re.compile(_BLANK + rb"(?=" + _HEADING + rb")" + _AFTER_SEPARATOR, re.IGNORECASE),
    "text-whole": re.compile(_AFTER_SEPARATOR[1:]),
    "markdown": re.compile(rb"\n(?!#{1,6}(?:[ \t]|\r?\n))[^\n]*[^\s][^\n]*\n(?:[ \t\r]*\n)*(?=#{1,2}[ \t])"),
    "jsonl": _LINE,
    "csv": _LINE,
    "tsv": _LINE,
}  # fmt: skip
_JSON_LIST = re.compile(rb'\s*(?:\{\s*"[^"\\]{1,80}"\s*:\s*)?\[[ \t\r]*\n([ \t]*)\{')


@dataclass(frozen=True, slots=True)
class Cuts:
    """How the files of one format are cut."""

    pattern: re.Pattern[bytes]
    """Its match ends where a document's first line begins."""
    header: int = 0
    """Bytes at the top that belong to no piece."""
    repeat_header: bool = False
    """Whether every piece is read with the header before it (a table's column names)."""
    quoted: bool = False
    """Whether a line end between quotes is none."""
    reach: int = REACH


def cuts_of(format: str, head: bytes) -> Cuts | None:  # noqa: A002
    """How to cut a file of this format that begins with `head`; None when it can only be read from its start."""
    if format == "json":
        found = _JSON_LIST.match(head)
        if found is None:
            return None
        # No string of JSON holds a line end: a line that begins like the first record is a record.
        record = re.compile(rb"\n(?=" + re.escape(found[1]) + rb"\{)")
        return Cuts(record, header=found.start(1))
    pattern = _PATTERNS.get(format)
    if pattern is None:
        return None
    if format in ("csv", "tsv"):
        return Cuts(pattern, header=head.find(b"\n") + 1, repeat_header=True, quoted=True)
    return Cuts(pattern, reach=1 << 16 if format == "text-whole" else REACH)
