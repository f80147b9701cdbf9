"""What people say about a model, and the names it had: `.library.json` in its folder, which training never touches."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from engine.errors import ModelError, UsageError
from engine.files import write_atomic
from engine.library.names import find_folder
from engine.library.shelf import library_lock
from engine.model.json_file import read_limited
from engine.project import Project
from engine.typed import decode_json

FILE = ".library.json"
LONGEST_NOTE = 4000
LONGEST_TAG = 32
MOST_TAGS = 32


@dataclass(frozen=True, slots=True)
class Former:
    """A name that the model had."""

    name: str
    since: float
    """Seconds since the epoch; 0 for from the beginning."""
    until: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class About:
    """The content of `.library.json`."""

    note: str = ""
    """Anything, on any number of lines."""
    tags: tuple[str, ...] = ()
    """Sorted."""
    since: float = 0.0
    """When it got its present name; 0 for from the beginning."""
    former: tuple[Former, ...] = ()
    """Oldest first: other models' lineages may name it so."""

    def named(self, name: str, present: str, at: float) -> bool:
        """Whether the model, which is called `present` now, was called `name` at a time."""
        if present == name and self.since <= at:
            return True
        return any(old.name == name and old.since <= at <= old.until for old in self.former)

    def renamed(self, old: str, now: float) -> About:
        """After a rename from `old`."""
        return replace(self, since=now, former=(*self.former, Former(old, self.since, now)))


def read_about(folder: Path) -> About:
    """What is known; nothing when there is no file.

    Raises:
        ModelError: the file is damaged.
    """
    try:
        return decode_json(read_limited(folder / FILE), About)
    except (FileNotFoundError, NotADirectoryError):
        return About()
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelError(
            f"The model's notes are damaged: {str(error)[:120]}.",
            file=folder / FILE,
            fix="Mend the file, or delete it.",
        ) from None


def write_about(folder: Path, about: About) -> None:
    """Replace the file.

    Raises:
        DiskFullError: no space; the old one stays.
        ForgeError: it cannot be written.
    """
    write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n")


def set_note(project: Project, name: str, note: str) -> About:
    """Replace the note of a model; an empty one removes it. Works while a run trains: no run reads it.

    Raises:
        UsageError: no such model, or the note is too long.
        ModelError: the notes are damaged.
        ForgeError: they cannot be written.
    """
    if len(note) > LONGEST_NOTE:
        raise UsageError(f"A note has at most {LONGEST_NOTE:,} characters, not {len(note):,}.")
    with library_lock(project):
        folder = find_folder(project, name)
        about = replace(read_about(folder), note=_encodable(note.strip()))
        write_about(folder, about)
    return about


def change_tags(project: Project, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> About:
    """Add and remove tags. Works while a run trains.

    Raises:
        UsageError: no such model, or a tag that cannot be one.
        ModelError: the notes are damaged.
        ForgeError: they cannot be written.
    """
    new = {check_tag(tag) for tag in add}
    gone = {check_tag(tag) for tag in remove}
    with library_lock(project):
        folder = find_folder(project, name)
        before = read_about(folder)
        tags = tuple(sorted((set(before.tags) | new) - gone))
        if len(tags) > MOST_TAGS:
            raise UsageError(f"A model has at most {MOST_TAGS} tags.", fix="Remove some first.")
        about = replace(before, tags=tags)
        write_about(folder, about)
    return about


def check_tag(tag: str) -> str:
    """`tag` as it is stored: NFC, lower case.

    Raises:
        UsageError: it is empty, too long, or holds spaces, commas or invisible characters.
    """
    stored = unicodedata.normalize("NFC", tag.strip().lower())
    letters = all(char.isalnum() or char in "._-:/+" for char in stored)
    if not stored or len(stored) > LONGEST_TAG or not letters:
        shown = "".join(char if char.isprintable() else "?" for char in tag[:40])
        raise UsageError(
            f'"{shown}" cannot be a tag.', fix=f"Use one word of at most {LONGEST_TAG} letters, digits and . _ - : / +"
        )
    return stored


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def now() -> float:
    """Seconds since the epoch; in one place so that tests can set the clock."""
    return time.time()
