"""Where a command works: the project around the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import UsageError
from engine.project import Project, check_name, find_project


def current_project() -> Project:
    """The project around the working folder; without a forge.toml the working folder itself."""
    return find_project() or Project(Path.cwd())


def existing_model(project: Project, name: str) -> Path:
    """The folder of a model that there is, trained or in training.

    Raises:
        UsageError: the name is not safe, or there is no such model; names the nearest.
    """
    from difflib import get_close_matches

    folder = project.model(check_name(name))
    if folder.is_dir():
        return folder
    there = [path.name for path in project.models.iterdir() if path.is_dir()] if project.models.is_dir() else []
    names = sorted(name for name in there if not name.startswith("."))
    near = get_close_matches(name, names, n=1)
    if near:
        fix = f'Did you mean "{near[0]}"?'
    else:
        fix = f"There are: {', '.join(names[:8])}." if names else "`forge-tui train` makes one."
    raise UsageError(f'There is no model "{name}" in {project.models}.', fix=fix)


def from_root(names: list[str], project: Project) -> list[str]:
    """File names and globs, typed in the working folder, as the job names them: from the project's root."""
    here = Path.cwd()
    if here == project.root:
        return names
    return [os.path.relpath(here / Path(name).expanduser(), project.root) for name in names]
