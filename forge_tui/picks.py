"""The files that a job trains on, one by one: globs resolved, with their weights; and how to write them back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError, UsageError
from engine.project import Project

if TYPE_CHECKING:
    from engine.job import DataFile, Job

WEIGHTS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""The steps of the weight keys."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A file that is trained on."""

    path: Path
    """Absolute."""
    name: str
    """As forge.toml names it, or would."""
    format: str = "auto"
    weight: float = 1.0
    pattern: str = ""
    """The glob that names it; empty when it is named itself."""
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    """As in the job: our field names to the file's own."""


def picks_of(project: Project, job: Job, entries: Sequence[str | DataFile] | None = None) -> list[Pick]:
    """The files of [data] (or of other entries), in their order; what matches nothing is a file that is not there."""
    from engine.text.formats import expand  # brings all readers: not before the first picture

    picks: list[Pick] = []
    for entry in job.data.files if entries is None else entries:
        file = job.data_file(entry)
        try:
            paths = expand([file.path], project.root)
        except DataError:
            paths = [project.root / file.path]
        for path in paths:
            pattern = file.path if len(paths) > 1 or str(path) != str(project.root / file.path) else ""
            name = _name(project, path) if pattern else file.path
            own = "auto" if isinstance(entry, str) else entry.format
            picks.append(Pick(Path(os.path.normpath(path)), name, own, file.weight, pattern, file.columns))
    return picks


def find(picks: Sequence[Pick], path: Path) -> Pick | None:
    """The pick of a file."""
    wanted = os.path.normpath(path)
    return next((pick for pick in picks if str(pick.path) == wanted), None)


def toggled(project: Project, picks: Sequence[Pick], path: Path) -> list[Pick]:
    """The picks with a file added or taken away; a glob that named it is written out.

    Raises:
        UsageError: it is the last one, or its name cannot be written in forge.toml.
    """
    found = find(picks, path)
    if found is None:
        return [*picks, Pick(Path(os.path.normpath(path)), _name(project, path))]
    left = [
        replace(pick, pattern="") if pick.pattern == found.pattern and found.pattern else pick
        for pick in picks
        if pick is not found
    ]
    if not left:
        raise UsageError("This is the only file that is chosen.", fix="Choose another one first: a job needs data.")
    return left


def weighted(picks: Sequence[Pick], path: Path, by: int) -> list[Pick]:
    """The picks with a file's weight a step higher or lower; a glob that named it is written out."""
    found = find(picks, path)
    if found is None:
        return list(picks)
    at = min(range(len(WEIGHTS)), key=lambda index: abs(WEIGHTS[index] - found.weight))
    weight = WEIGHTS[min(len(WEIGHTS) - 1, max(0, at + by))]
    return _changed(picks, found, replace(found, weight=weight))


def formatted(picks: Sequence[Pick], path: Path, name: str) -> list[Pick]:
    """The picks with a file's format set; a glob that named it is written out."""
    found = find(picks, path)
    return list(picks) if found is None else _changed(picks, found, replace(found, format=name))


def _changed(picks: Sequence[Pick], old: Pick, new: Pick) -> list[Pick]:
    same = [replace(pick, pattern="") if old.pattern and pick.pattern == old.pattern else pick for pick in picks]
    return [replace(new, pattern="") if pick.path == old.path else pick for pick in same]


def swapped(project: Project, picks: Sequence[Pick], old: Path, new: Path) -> list[Pick]:
    """The picks with one file in the place of another: weight kept, format looked at anew.

    A repaired table still has its own column names, a converted one has the usual ones.
    """
    found = find(picks, old)
    if found is None:
        return list(picks)
    columns = found.columns if new.suffix == old.suffix else {}
    pick = Pick(Path(os.path.normpath(new)), _name(project, new), "auto", found.weight, columns=columns)
    return _changed(picks, found, pick)


def as_files(picks: Sequence[Pick]) -> list[str | DataFile]:
    """What to write as data.files: globs that are whole as they were, tables only where there is something to say."""
    from engine.job import DataFile

    files: list[str | DataFile] = []
    globs: set[str] = set()
    for pick in picks:
        if pick.pattern in globs and pick.pattern:
            continue
        globs.add(pick.pattern)
        name = pick.pattern or pick.name
        plain = pick.weight == 1.0 and pick.format == "auto" and not pick.columns
        files.append(name if plain else DataFile(name, pick.format, pick.weight, dict(pick.columns)))
    return files


def _name(project: Project, path: Path) -> str:
    """How forge.toml names a file.

    Raises:
        UsageError: TOML cannot hold the name.
    """
    name = os.path.normpath(path)
    root = str(project.root)
    if name.startswith(root + os.sep):
        name = Path(name).relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError("The file's name is not UTF-8: forge.toml cannot hold it.", fix="Rename the file.") from None
    return name
