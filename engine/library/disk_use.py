"""Where the space of a project goes, and what could be freed without losing a model."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import BusyError
from engine.files import is_locked
from engine.library.checkpoints import checkpoints_of, discard_checkpoint
from engine.library.names import model_names
from engine.library.shelf import leftovers, library_lock, model_lock, remove, sweep
from engine.library.trash import list_trash
from engine.project import Project
from engine.runs import manifest
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import live_run, runs_of

Kind = Literal["trash", "checkpoints", "cache", "leftovers"]
KINDS: dict[Kind, str] = {
    "trash": "deleted and replaced models",
    "checkpoints": "checkpoints of finished runs (their models are published)",
    "cache": "token caches (made again when needed)",
    "leftovers": "what interrupted commands left behind",
}


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The space that one model takes, in bytes on disk."""

    name: str
    published: int
    """Its own files."""
    checkpoints: int
    """Of all its runs."""
    journals: int
    """Everything else in its runs."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.published + self.checkpoints + self.journals


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """Something that can go."""

    kind: Kind
    name: str
    """Of the model or the thing in the trash; empty for a whole kind."""
    bytes: int
    """That would be freed."""
    items: int
    """Folders."""
    held: str = ""
    """Why it cannot go now."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": self.kind, "name": self.name, "bytes": self.bytes, "items": self.items, "held": self.held}


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The space of a project."""

    models: tuple[ModelUse, ...]
    trash: int
    cache: int
    free: int
    """Left on the disk."""
    reclaimable: tuple[Reclaimable, ...]
    """Largest first."""

    @property
    def total(self) -> int:
        """What models, trash and caches take."""
        return sum(model.total for model in self.models) + self.trash + self.cache


def disk_use(project: Project) -> DiskUse:
    """Measure everything. A file with several names counts once, for the model that has it."""
    seen: set[tuple[int, int]] = set()
    models = tuple(_model_use(project.models / name, seen) for name in model_names(project))
    trash = [(entry, tree_bytes([entry.folder], seen)) for entry in list_trash(project)]
    cache = tree_bytes([project.cache], seen)
    found = [Reclaimable("trash", entry.id, size, 1) for entry, size in trash]
    found += _finished_checkpoints(project)
    if cache:
        live = live_run(project)
        held = f"run {live.id} reads them" if live else ""
        found.append(Reclaimable("cache", "", cache, 1, held))
    left = _leftovers(project)
    if left:
        found.append(Reclaimable("leftovers", "", tree_bytes(left, seen), len(left)))
    return DiskUse(
        models=models,
        trash=sum(size for _, size in trash),
        cache=cache,
        free=shutil.disk_usage(project.root).free,
        reclaimable=tuple(sorted(found, key=lambda entry: entry.bytes, reverse=True)),
    )


def clean(project: Project, wanted: Iterable[Reclaimable]) -> tuple[int, list[str]]:
    """Free what `disk_use` found; returns the bytes freed, and what was left alone and why.

    Raises:
        ForgeError: something cannot be removed.
    """
    freed, kept = 0, []
    with library_lock(project):
        for entry in wanted:
            try:
                freed += _free(project, entry)
            except BusyError as error:
                kept.append(f"{entry.name or KINDS[entry.kind]}: {error.text}")
    return freed, kept


def _free(project: Project, entry: Reclaimable) -> int:
    match entry.kind:
        case "trash":
            found = next((trashed for trashed in list_trash(project) if trashed.id == entry.name), None)
            if found is None:
                return 0
            size = tree_bytes([found.folder], set(), freed_only=True)
            remove(found.folder)
            return size
        case "checkpoints":
            return _free_checkpoints(project, entry.name)
        case "cache":
            live = live_run(project)
            if live is not None:
                raise BusyError(f"Run {live.id} reads the token caches.", fix="Wait for it.")
            size = tree_bytes([project.cache], set())
            if project.cache.is_dir():
                remove(project.cache)
            return size
        case "leftovers":
            size = tree_bytes(_leftovers(project), set(), freed_only=True)
            for parent in (project.models, project.trash, project.cache.parent):
                sweep(parent)
            return size


def _free_checkpoints(project: Project, name: str) -> int:
    folder = project.models / name
    if not folder.is_dir():
        return 0
    freed = 0
    with model_lock(folder):
        for run in runs_of(project, name):
            if run.phase != "finished":
                continue
            for checkpoint in checkpoints_of(run):
                discard_checkpoint(checkpoint)
                freed += checkpoint.bytes
    return freed


def _finished_checkpoints(project: Project) -> list[Reclaimable]:
    found = []
    for name in model_names(project):
        runs = [run for run in runs_of(project, name) if run.phase == "finished"]
        checkpoints = [entry for run in runs for entry in checkpoints_of(run)]
        if checkpoints:
            held = "a run holds the model" if is_locked(project.models / name / "runs" / MODEL_LOCK) else ""
            size = sum(entry.bytes for entry in checkpoints)
            found.append(Reclaimable("checkpoints", name, size, len(checkpoints), held))
    return found


def _leftovers(project: Project) -> list[Path]:
    return [path for parent in (project.models, project.trash, project.cache.parent) for path in leftovers(parent)]


def _model_use(folder: Path, seen: set[tuple[int, int]]) -> ModelUse:
    published = tree_bytes([path for path in folder.iterdir() if path.name != "runs"], seen)
    runs = list((folder / "runs").iterdir()) if (folder / "runs").is_dir() else []
    checkpoints = tree_bytes([run / manifest.FOLDER for run in runs], seen)
    return ModelUse(folder.name, published, checkpoints, tree_bytes(runs, seen))


def tree_bytes(tops: Iterable[Path], seen: set[tuple[int, int]], *, freed_only: bool = False) -> int:
    """Bytes on disk of files and folders with all that is in them; links are not followed.

    Args:
        tops: Where to begin.
        seen: (device, inode) of files that are counted already; those found are added.
        freed_only: Leave out files that have a name elsewhere as well.
    """
    total = 0
    pending = [os.fspath(top) for top in tops]
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                pending += [entry.path for entry in os.scandir(path)]
                continue
        except OSError:
            continue  # gone meanwhile, or not ours to see
        key = (status.st_dev, status.st_ino)
        if key in seen or (freed_only and status.st_nlink > 1):
            continue
        seen.add(key)
        total += status.st_blocks * 512
    return total
