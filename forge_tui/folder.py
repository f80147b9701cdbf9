"""What is in a folder, for choosing files: folders first, hidden ones left out, as many as one looks through."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError

MOST = 5000
"""Entries that are listed."""


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A file or a folder."""

    path: Path
    is_folder: bool
    size: int
    """Bytes of a file."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder's content."""

    folder: Path
    entries: tuple[FolderEntry, ...]
    left_out: int
    """Entries beyond MOST."""


def list_folder(folder: Path) -> Listing:
    """The content of a folder, by name. May wait for a slow disk: not for the app's own thread.

    Raises:
        UsageError: it is none, or may not be read.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    found.append(_entry(entry))
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise UsageError(f"This folder cannot be read: {reason.lower()}.", file=folder) from None
    found.sort(key=lambda one: (not one.is_folder, one.path.name.casefold(), one.path.name))
    return Listing(folder, tuple(found[:MOST]), max(0, len(found) - MOST))


def _entry(entry: os.DirEntry[str]) -> FolderEntry:
    try:
        is_folder = entry.is_dir()
        size = 0 if is_folder else entry.stat().st_size
    except OSError:
        is_folder, size = False, 0
    return FolderEntry(Path(entry.path), is_folder, size)


def check_folder(text: str, start: Path) -> Path:
    """The folder that somebody typed.

    Raises:
        UsageError: there is none.
    """
    if "\0" in text or not text.strip():
        raise UsageError("Type a path.")
    try:
        path = start / Path(text.strip()).expanduser()
        if not path.exists():
            raise UsageError("There is nothing of this name.", fix="Relative paths start at the folder that is shown.")
        return Path(os.path.normpath(path))
    except RuntimeError:
        raise UsageError("There is no such user.") from None
    except OSError as error:
        raise UsageError(f"This cannot be opened: {(error.strerror or 'unknown error').lower()}.") from None
