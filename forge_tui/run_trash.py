"""Deleting a run means moving its folder to the project's trash, from where it can come back."""

from __future__ import annotations

from pathlib import Path

from engine.library import trash
from engine.project import Project
from engine.runs.state import Run


def to_trash(project: Project, run: Run) -> Path:
    """Move a run to the trash; returns its new place.

    Raises:
        BusyError: it is going.
        ForgeError: it cannot be moved.
    """
    return trash.delete_run(project, run.folder).folder


def restore(place: Path) -> Path:
    """Bring a run back from the trash, to its model whatever that is called now; returns its folder.

    Raises:
        ForgeError: it is not there any more, or another one has taken its place.
    """
    return trash.restore(Project(place.parents[2]), place.name)
