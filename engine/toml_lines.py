"""Which line of a TOML file defines a key, so that errors can say where."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


class TomlLines:
    """Line numbers of the keys of a TOML text (1-based).

    The text need not be valid. Lines inside multi-line strings and arrays may be taken for keys; the result is for
    messages only.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        arrays: dict[tuple[str, ...], int] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            if header := _HEADER.match(line):
                name = _parts(header.group(2))
                if header.group(1) == "[[":
                    arrays[name] = arrays.get(name, -1) + 1
                    table = (*name, arrays[name])
                else:
                    table = name
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                path = (*table, *_parts(key.group(1)))
                self._lines.setdefault(path, number)

    def line_of(self, path: tuple[str | int, ...]) -> int | None:
        """The line of the key at `path`, or of the nearest enclosing key or table."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None
