"""Deleting a run means moving its folder to the project's trash, from where it can come back."""

from __future__ import annotations

import time
from pathlib import Path

from engine.errors import BusyError, ForgeError
from engine.files import is_locked, os_error
from engine.project import Project
from engine.runs.state import LOCK, Run


def to_trash(project: Project, run: Run) -> Path:
    """Move a run to the trash; returns its new place.

    Raises:
        BusyError: it is going.
        ForgeError: it cannot be moved.
    """
    if is_locked(run.folder / LOCK):
        raise BusyError(f"Run {run.id} is going.", fix="Stop it first.")
    place = project.trash / "runs" / f"{run.state.model}-{run.id}-{time.time_ns()}"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        run.folder.rename(place)
    except OSError as error:
        raise os_error(error, run.folder) from error
    return place


def restore(place: Path, folder: Path) -> Path:
    """Bring a run back from the trash.

    Raises:
        ForgeError: it is not there any more, or another one has taken its place.
    """
    if folder.exists():
        raise ForgeError("There is a run of this name again.", file=folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place.rename(folder)
    except FileNotFoundError:
        raise ForgeError("It is no longer in the trash.", file=place) from None
    except OSError as error:
        raise os_error(error, folder) from error
    return folder
