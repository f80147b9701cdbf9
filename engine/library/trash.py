"""Deleting without regret: one rename moves a model (or a run) to models/.trash, and one brings it back.

What lies there stays usable as it is: `models/.trash/<name>-<time>` is a model folder.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import BusyError, ForgeError, ModelError, UsageError
from engine.files import FileLock, is_locked, os_error, write_atomic
from engine.library.about import now, read_about, write_about
from engine.library.names import find_folder, former_folder, free_folder
from engine.library.rename import link_or_copy, refresh_card
from engine.library.shelf import commit, library_lock, model_lock, move, remove, staging, sweep
from engine.model.info import CONFIG_FILE, locate_files
from engine.model.json_file import read_limited
from engine.project import Project
from engine.runs.state import LOCK, WORKER_LOCK
from engine.text.sanitize import one_line
from engine.typed import decode_json

LABEL = ".trash.json"

Kind = Literal["model", "version", "run"]
"""A deleted model with its runs · the files of a model that was replaced · a deleted run."""

_PATIENCE_SECONDS = 900.0
"""How long a run that has finished waits for another change to the models before it replaces one."""

_STAMP = re.compile(r"(?P<name>.+)-(?P<time>\d{8}T\d{6})(?:-\d+)?")


@dataclass(frozen=True, slots=True)
class Label:
    """`.trash.json`: what was deleted, and why."""

    kind: Kind
    name: str
    """Of the model."""
    time: float
    """Seconds since the epoch."""
    reason: str = ""
    run: str = ""
    """Id of the run, when it is one."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """Something in the trash."""

    id: str
    """The folder's name there."""
    folder: Path
    label: Label

    @property
    def name(self) -> str:
        """What it was called: of a run, the model and the run."""
        return f"{self.label.name}/runs/{self.label.run}" if self.label.kind == "run" else self.label.name

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        label = self.label
        return {
            "id": self.id,
            "name": label.name,
            "kind": label.kind,
            "run": label.run or None,
            "time": label.time,
            "reason": label.reason,
            "path": str(self.folder),
        }


def delete(project: Project, name: str, reason: str = "deleted") -> Trashed:
    """Move a model with its runs to the trash.

    Raises:
        UsageError: there is no such model, or it is a link to a folder elsewhere.
        BusyError: a run holds it.
        ForgeError: the folder cannot be written.
    """
    with library_lock(project):
        folder = find_folder(project, name)
        if folder.is_symlink():
            raise UsageError("This model is a link to a folder elsewhere.", fix=f"Remove the link yourself: {folder}")
        with model_lock(folder):
            return put(project, folder, Label("model", folder.name, now(), reason))


def delete_run(project: Project, run: Path) -> Trashed:
    """Move a run that has ended (models/<name>/runs/<id>) to the trash; another run of the model may go on meanwhile.

    Raises:
        BusyError: the run is going, or its worker is still saving.
        UsageError: there is no such run.
        ForgeError: the folder cannot be written.
    """
    folder = run.parents[1]
    lock = FileLock(run / LOCK)
    with library_lock(project):
        if not run.is_dir() or run.parent.name != "runs" or folder.parent.resolve() != project.models.resolve():
            raise UsageError("There is no such run.", fix="`forge-tui runs` lists what there is.")
        with lock:
            if not lock.acquire() or is_locked(run / WORKER_LOCK):
                raise BusyError(f"Run {one_line(run.name)} is going.", fix="Stop it first.")
            return put(project, run, Label("run", folder.name, now(), "deleted", run.name))


def put(project: Project, folder: Path, label: Label) -> Trashed:
    """Move a folder to the trash: the rename is the commit. Call it under the locks.

    Raises:
        ForgeError: the folder cannot be written.
    """
    try:
        project.trash.mkdir(exist_ok=True)
    except OSError as error:
        raise os_error(error, project.trash) from error
    target = _place(project, label)
    _write_label(folder, label)
    move(folder, target)
    return Trashed(target.name, target, label)


def keep_replaced(project: Project, name: str, reason: str) -> Trashed | None:
    """Keep the published files of a model, loadable, before others replace them; None when there are none.

    The caller holds the model's lock. Hard links where the file system has them: files of a model are replaced, never
    changed, so the copy costs no space.

    Raises:
        DiskFullError: no space; nothing has changed.
        ForgeError: it cannot be written.
    """
    with library_lock(project, wait=_PATIENCE_SECONDS):
        return keep_files(project, project.model(name), reason)


def keep_files(project: Project, folder: Path, reason: str) -> Trashed | None:
    """As `keep_replaced`, for callers that hold the library's lock as well."""
    if not (folder / CONFIG_FILE).exists():
        return None
    with staging(project.trash) as staged:
        label = Label("version", folder.name, now(), reason)
        try:
            for file, path in _published_files(folder).items():
                link_or_copy(path, staged / file)
        except OSError as error:
            raise os_error(error, staged) from error
        _write_label(staged, label)
        target = _place(project, label)
        commit(staged, target)
        return Trashed(target.name, target, label)


def _published_files(folder: Path) -> dict[str, Path]:
    """The files of the model by name; of one that is not quite in order, whatever is there."""
    try:
        files = locate_files(folder)
    except ModelError:
        files = {path.name: path.resolve() for path in folder.iterdir() if path.is_file()}
    return {name: path for name, path in files.items() if not name.startswith(".")}


def list_trash(project: Project) -> list[Trashed]:
    """What is in the trash, newest first."""
    try:
        folders = [path for path in project.trash.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    labels = [(folder, _label(folder)) for folder in folders]
    found = [Trashed(folder.name, folder, label) for folder, label in labels if label is not None]
    return sorted(found, key=lambda entry: (entry.label.time, entry.id), reverse=True)


def find_trashed(project: Project, which: str) -> Trashed:
    """Something in the trash by its id, or the newest of a name.

    Raises:
        UsageError: there is none.
    """
    entries = list_trash(project)
    found = next((entry for entry in entries if entry.id == which), None)
    found = found or next((entry for entry in entries if which in (entry.label.name, entry.label.run)), None)
    if found is None:
        fix = "There are: " + ", ".join(one_line(entry.id) for entry in entries[:5]) if entries else "It is empty."
        raise UsageError(f'There is no "{one_line(which, 64)}" in the trash.', fix=fix)
    return found


def restore(project: Project, which: str, *, new_name: str = "") -> Path:
    """Bring something back from the trash; returns its folder.

    Args:
        project: Where.
        which: An id, or a name: then the newest one.
        new_name: Another name for it, where its own is taken by now.

    Raises:
        UsageError: it is not there, or its name is taken.
        ForgeError: the folder cannot be written.
    """
    with library_lock(project):
        entry = find_trashed(project, which)
        if entry.label.kind == "run":
            return _restore_run(project, entry)
        try:
            target = free_folder(project, new_name) if new_name else former_folder(project, entry.label.name)
        except UsageError as error:
            if new_name:
                raise
            fix = f"Name it otherwise: restore {one_line(entry.id, 120)} --as NAME"
            raise UsageError(error.text, fix=fix) from None
        if target.name != entry.label.name:
            about = read_about(entry.folder)
            write_about(entry.folder, about.renamed(entry.label.name, now()))
        move(entry.folder, target)
        (target / LABEL).unlink(missing_ok=True)
        refresh_card(target)
    return target


def _restore_run(project: Project, entry: Trashed) -> Path:
    folder = find_folder(project, _present_name(project, entry.label))
    run = entry.label.run
    sound = run and Path(run).name == run and not run.startswith(".")
    target = folder / "runs" / (run if sound else entry.id)
    move(entry.folder, target)
    (target / LABEL).unlink(missing_ok=True)
    return target


def _present_name(project: Project, label: Label) -> str:
    """What the model of a run is called now."""
    from engine.library.catalogue import list_models

    entries = list_models(project)
    named = [entry for entry in entries if entry.about.named(label.name, entry.name, label.time)]
    return named[0].name if named else label.name


def empty(project: Project, which: Iterable[str] | None = None) -> list[Trashed]:
    """Remove things from the trash for good; all of them when none are named.

    Returns:
        What was removed.

    Raises:
        UsageError: one is not there; nothing is removed.
        ForgeError: a folder cannot be removed.
    """
    with library_lock(project):
        doomed = list_trash(project) if which is None else [find_trashed(project, name) for name in which]
        for entry in doomed:
            remove(entry.folder)
        sweep(project.trash)
    return doomed


def _place(project: Project, label: Label) -> Path:
    """A free name in the trash."""
    what = f"{label.name}.{label.run}" if label.run else label.name
    stem = f"{what}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(label.time))}"
    for number in range(10_000):
        place = project.trash / (f"{stem}-{number}" if number else stem)
        if not os.path.lexists(place):
            return place
    raise ForgeError("The trash is full of models of one name.", file=project.trash, fix="Empty it.")


def _write_label(folder: Path, label: Label) -> None:
    write_atomic(folder / LABEL, msgspec.json.format(msgspec.json.encode(label), indent=1) + b"\n")


def _label(folder: Path) -> Label | None:
    """What a folder in the trash is, by its label or else by its name; None when it is gone."""
    try:
        return decode_json(read_limited(folder / LABEL), Label)
    except (OSError, ForgeError, msgspec.MsgspecError, RecursionError):
        named = _STAMP.fullmatch(folder.name)
    try:
        return Label("model", named["name"] if named else folder.name, folder.stat().st_mtime)
    except FileNotFoundError:
        return None
