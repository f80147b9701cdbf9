"""Making a project: forge.toml, the starter texts, and a place for models. Nothing that is there is overwritten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.errors import ForgeError
from engine.files import os_error, write_atomic
from engine.project import Project


def starter_folder() -> Path:
    """Where the starter files are: inside the installed package, or in the source tree.

    Raises:
        ForgeError: the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "starter", package.parent):
        if (folder / "forge.toml").is_file() and (folder / "data").is_dir():
            return folder
    raise ForgeError("The starter files of forge-tui are missing.", file=package, fix="Install forge-tui again.")


def make_project(folder: Path, written: Callable[[Path], object] = lambda path: None) -> Project:
    """Make `folder` a project; files that exist already stay as they are, and `written` hears of those that did not.

    Raises:
        ForgeError: it cannot be written.
    """
    source = starter_folder()
    project = Project(folder.resolve())
    try:
        project.data.mkdir(parents=True, exist_ok=True)
        project.models.mkdir(exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error
    names = [f"data/{path.name}" for path in sorted((source / "data").iterdir()) if path.is_file()]
    for name in ("forge.toml", *names, "models/README.md"):
        target = project.root / name
        if not os.path.lexists(target):
            write_atomic(target, (source / name).read_bytes())
            written(target)
    return project
