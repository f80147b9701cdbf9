"""Lines of text cut into rows of a width in cells; fast for the long lines that data files have."""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size


def wrap_line(line: str, width: int) -> list[str]:
    """One sanitised line in rows of at most `width` cells, cut after spaces where there are any."""
    width = max(1, width)
    if len(line) <= width and (line.isascii() or cell_len(line) <= width):
        return [line]
    return _wrap_ascii(line, width) if line.isascii() else _wrap_wide(line, width)


def wrap_text(text: str, width: int) -> list[str]:
    """Sanitised text of any number of lines in rows."""
    return [row for line in text.split("\n") for row in wrap_line(line, width)]


def _wrap_ascii(line: str, width: int) -> list[str]:
    rows = []
    start, end = 0, len(line)
    while end - start > width:
        cut = line.rfind(" ", start, start + width + 1)
        if cut <= start:
            cut = start + width
        rows.append(line[start:cut].rstrip(" "))
        start = cut
        while start < end and line[start] == " ":
            start += 1
    rows.append(line[start:])
    return rows


def _wrap_wide(line: str, width: int) -> list[str]:
    rows: list[str] = []
    start = cells = 0
    space = -1
    for index, character in enumerate(line):
        if character == " " and start == index and rows:
            start += 1  # a row never begins with the spaces that it was cut at
            continue
        size = get_character_cell_size(character)
        while cells + size > width and index > start:
            cut = space if space > start else index
            rows.append(line[start:cut].rstrip(" "))
            start = cut
            cells = cell_len(line[start:index])
            space = -1
        if character == " ":
            space = index + 1
        cells += size
    rows.append(line[start:])
    return rows
