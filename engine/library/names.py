"""Which folders are models, and which names are free: two names that some file system takes for one collide."""

from __future__ import annotations

import difflib
import os
import unicodedata
from pathlib import Path

from engine.errors import UsageError
from engine.project import Project, check_name
from engine.text.sanitize import one_line


def key_of(name: str) -> str:
    """Equal for names that a file system may take for one: capitals and Unicode forms (NFC, NFD) do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", name).casefold())


def model_names(project: Project) -> list[str]:
    """Names of the folders in models/ that can be models, sorted; also such that `check_name` would refuse."""
    try:
        with os.scandir(project.models) as found:
            return sorted(entry.name for entry in found if not entry.name.startswith(".") and entry.is_dir())
    except FileNotFoundError:
        return []


def find_folder(project: Project, name: str) -> Path:
    """The folder of a model that exists; capitals and Unicode forms are forgiven when only one model fits.

    Raises:
        UsageError: there is none; says which one may be meant.
    """
    names = model_names(project)
    if name in names:
        return project.models / name
    alike = [other for other in names if key_of(other) == key_of(name)]
    if len(alike) == 1:
        return project.models / alike[0]
    near = alike or difflib.get_close_matches(name[:64], names, n=3, cutoff=0.5)
    if near:
        fix = "Did you mean " + " or ".join(f'"{one_line(other, 64)}"' for other in near) + "?"
    else:
        fix = "There are: " + ", ".join(one_line(other, 64) for other in names[:8]) if names else "Train one first."
    raise UsageError(f'There is no model "{one_line(name, 64)}".', fix=fix)


def free_folder(project: Project, name: str, *, instead_of: str = "") -> Path:
    """The folder that a new model of this name gets.

    Args:
        project: Where.
        name: The name that is wanted.
        instead_of: A model that gives its name up for this one, so that the two may collide.

    Raises:
        UsageError: the name is not safe, or a model has it already.
    """
    return _unless_taken(project, check_name(name), instead_of)


def former_folder(project: Project, name: str) -> Path:
    """The folder that a model gets back; its old name is good enough even where a new model could not have it.

    Raises:
        UsageError: a model has it by now, or no folder can have this name.
    """
    if not name or "\0" in name or name.startswith(".") or Path(name).name != name:
        raise UsageError(f'"{one_line(name, 64)}" cannot be the name of a model.', fix="Give it another name.")
    return _unless_taken(project, name, "")


def _unless_taken(project: Project, name: str, instead_of: str) -> Path:
    folder, shown = project.models / name, one_line(name, 64)
    for other in model_names(project):
        if other != instead_of and key_of(other) == key_of(name):
            which = "" if other == name else f' ("{one_line(other, 64)}" is the same name on some file systems)'
            raise UsageError(f'There is a model "{shown}" already{which}.', fix="Choose another name.")
    own = instead_of and (name == instead_of or _same(folder, project.models / instead_of))
    if os.path.lexists(folder) and not own:
        raise UsageError(f"models/{shown} is in the way.", fix="Move it away, or choose another name.")
    return folder


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
