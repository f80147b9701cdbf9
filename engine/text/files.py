"""Which files a list of names and globs means."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from engine.errors import DataError
from engine.text.sanitize import one_line

MOST_FILES = 100_000
"""More than this many files from one list is taken for a mistake."""


def expand(files: Sequence[str], root: Path) -> list[Path]:
    """The files that `files` names, in order and each once; globs are sorted, relative names start at `root`.

    A name that exists as it is written is taken literally even if it looks like a glob. Whether a file can be read is
    for the reader to say.

    Raises:
        DataError: a glob matches nothing, or the list is empty.
    """
    found: dict[Path, None] = {}
    for name in files:
        if "\0" in name:
            raise DataError(f"A file name cannot hold a NUL character: {one_line(name)}")
        path = root / Path(name).expanduser()
        if not glob.has_magic(name) or _exists(path):
            found[path] = None
            continue
        names = glob.iglob(str(path), recursive=True)  # noqa: PTH207  Path.glob cannot take an absolute pattern
        matches = sorted(match for match in names if not Path(match).is_dir())
        if not matches:
            raise DataError(f"{one_line(name)} matches no file.", fix=f"Paths start at {one_line(str(root))}.")
        if len(matches) > MOST_FILES:
            raise DataError(f"{one_line(name)} matches {len(matches):,} files.", fix="Name a narrower pattern.")
        found.update(dict.fromkeys(Path(match) for match in matches))
    if not found:
        raise DataError("No data file is named.", fix="Name at least one file of text.")
    return list(found)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
