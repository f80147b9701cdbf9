"""How changes to models are made: one at a time, never under a run, prepared aside until one rename commits them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import BusyError, ForgeError
from engine.files import FileLock, fsync_folder, is_locked, os_error
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import LOCK, WORKER_LOCK
from engine.text.sanitize import one_line

LIBRARY_LOCK = ".library.lock"
NEW = ".new-"
DOOMED = ".del-"
_BUSY = ".busy"
WAIT_SECONDS = 20.0


@contextmanager
def library_lock(project: Project, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the names of the project: of two changes at once, one waits (at most `wait` seconds).

    Raises:
        BusyError: another change takes very long.
        ForgeError: models/ cannot be written.
    """
    lock = FileLock(project.models / LIBRARY_LOCK)
    try:
        project.models.mkdir(exist_ok=True)
        held = lock.acquire(wait)
    except OSError as error:
        raise os_error(error, project.models) from error
    if not held:
        raise BusyError("Another change to the models is under way.", fix="Try again in a moment.")
    with lock:
        yield


@contextmanager
def model_lock(folder: Path) -> Iterator[None]:
    """Hold one model, as a run does.

    Raises:
        BusyError: a run holds it, or the worker of a run that died is still saving.
        ForgeError: the folder cannot be written.
    """
    lock = FileLock(folder / "runs" / MODEL_LOCK)
    try:
        lock.path.parent.mkdir(exist_ok=True)
        held = lock.acquire()
    except OSError as error:
        raise os_error(error, folder) from error
    name = one_line(folder.name, 64)
    if not held:
        run = next((run.name for run in run_folders(folder) if is_locked(run / LOCK)), "")
        raise BusyError(
            f"models/{name} is held by {f'run {run}' if run else 'another command'}.",
            fix="Wait for it, or stop it with `forge-tui stop`." if run else "Try again in a moment.",
        )
    with lock:
        orphan = next((run for run in run_folders(folder) if is_locked(run / WORKER_LOCK)), None)
        if orphan is not None:
            raise BusyError(
                f"The worker of run {one_line(orphan.name)} is still saving models/{name}.",
                fix="Try again in a moment.",
            )
        yield


def run_folders(folder: Path) -> list[Path]:
    """The folders of a model's runs, by name."""
    try:
        return sorted(path for path in (folder / "runs").iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` that nobody looks at; `commit` gives it a name, else it is removed.

    Call it under the library's lock; what earlier, killed commands left there is removed first.
    """
    folder = parent / f"{NEW}{uuid.uuid4().hex[:12]}"
    lock = FileLock(folder / _BUSY)
    try:
        parent.mkdir(exist_ok=True)
        sweep(parent)
        folder.mkdir()
        lock.acquire()
    except OSError as error:
        raise os_error(error, parent) from error
    try:
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def commit(folder: Path, target: Path) -> None:
    """Give a folder from `staging` its final name; it appears whole.

    Raises:
        ForgeError: the name is taken, or the folder cannot be written.
    """
    try:
        (folder / _BUSY).unlink(missing_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    move(folder, target)


def move(source: Path, target: Path) -> None:
    """Rename a folder, durably: the commit of every change.

    Raises:
        ForgeError: something has the name already, or the folders cannot be written.
    """
    if os.path.lexists(target) and not _same_entry(source, target):
        raise ForgeError("Something with this name is there already.", file=target, fix="Choose another name.")
    try:
        source.rename(target)
        fsync_folder(target.parent)
        if source.parent != target.parent:
            fsync_folder(source.parent)
    except OSError as error:
        raise os_error(error, target) from error


def remove(folder: Path) -> None:
    """Remove a folder: its name goes first, at once, so that no half of it is ever found under it.

    Raises:
        ForgeError: it cannot be renamed.
    """
    doomed = folder.with_name(f"{DOOMED}{uuid.uuid4().hex[:12]}")
    move(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what killed commands left behind in `parent`. Call it under the library's lock."""
    for path in leftovers(parent):
        shutil.rmtree(path, ignore_errors=True)


def leftovers(parent: Path) -> list[Path]:
    """What killed commands left behind in `parent`."""
    found = [*parent.glob(f"{NEW}*"), *parent.glob(f"{DOOMED}*")]
    return [path for path in found if not is_locked(path / _BUSY)]


def _same_entry(source: Path, target: Path) -> bool:
    """Whether two spellings are one folder: a change of capitals where the file system does not see them."""
    try:
        return source.samefile(target) and source.name.casefold() == target.name.casefold()
    except OSError:
        return False
