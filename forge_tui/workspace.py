"""The project that the app works on: its forge.toml, and what is selected in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.project import Project

if TYPE_CHECKING:
    from engine.job import Job


class Workspace:
    """A project and its job. forge.toml is the only place where the job lives: every change is written there."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._read: tuple[tuple[int, int], Job] | None = None

    def job(self) -> Job:
        """The job of forge.toml as it is on disk now.

        Raises:
            UsageError: missing or wrong, with file and line.
        """
        from engine.job_file import load_job

        path = self.project.job_file
        stamp = _stamp(path)
        if stamp is None or self._read is None or self._read[0] != stamp:
            job = load_job(path)
            self._read = (stamp or (0, 0), job)
        return self._read[1]

    def job_or_none(self) -> Job | None:
        """The job, or None when forge.toml cannot be used."""
        try:
            return self.job()
        except UsageError:
            return None

    @property
    def known_job(self) -> Job | None:
        """The job if it has been read before: the first picture does not wait for it."""
        return None if self._read is None else self.job_or_none()

    def change_job(self, changes: Mapping[str, Any]) -> Job:
        """Set dotted keys ("train.epochs") in forge.toml, keeping its comments and order; returns the new job.

        Raises:
            UsageError: the result would not be a valid job; nothing is written.
            ForgeError: the file cannot be written.
        """
        from engine.files import write_atomic
        from engine.job_file import edit_job_text, read_toml_text

        path = self.project.job_file
        text = edit_job_text(read_toml_text(path), changes)
        write_atomic(path, text.encode())
        self._read = None
        return self.job()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
