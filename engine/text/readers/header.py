"""The head of a data file that describes it and is not trained on: a docstring, or lines that start with `#`."""

from __future__ import annotations

import re

from engine.text.source import TextSource

HEADER_CHARACTERS = 65536
"""A header ends within this much text, or it is none."""

_DOCSTRING = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(\"\"\"|''')(.*?)\1[ \t]*(?:\n|\Z)", re.DOTALL)


def docstring_lines(source: TextSource) -> int:
    """Lines at the top of the file that a docstring (after blank and `#` lines) takes up; 0 when there is none."""
    head = source.head()[: 4 * HEADER_CHARACTERS].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    head = head.replace("\r\n", "\n").replace("\r", "\n")[:HEADER_CHARACTERS]
    match = _DOCSTRING.match(head)
    return match[0].rstrip("\n").count("\n") + 1 if match else 0
