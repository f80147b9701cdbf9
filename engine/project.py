"""Where a project's files are, and which names are safe on every file system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError

MODEL_LOCK = ".lock"
"""In a model's runs/: held by the host of the run that trains it."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}


def check_name(name: str) -> str:
    """`name` itself when it is safe as a folder on every file system.

    Raises:
        UsageError: says the rule and, where there is one, the nearest good name.
    """
    bad = not NAME.fullmatch(name) or name.endswith(".") or name.split(".")[0] in _RESERVED or ".." in name
    if not bad:
        return name
    shown = "".join(char if char.isprintable() else "?" for char in name)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    near = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", name.lower())).strip("-._")[:64]
    hint = f' Try "{near}".' if near and NAME.fullmatch(near) and near.split(".")[0] not in _RESERVED else ""
    raise UsageError(
        f'"{shown}" cannot be the name of a model.',
        fix="Use up to 64 lower-case letters, digits, dots, dashes and underscores, a letter or digit first." + hint,
    )


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with forge.toml, data/ and models/."""

    root: Path
    """Absolute path."""

    @property
    def job_file(self) -> Path:
        """forge.toml."""
        return self.root / "forge.toml"

    @property
    def data(self) -> Path:
        """The folder of the training data."""
        return self.root / "data"

    @property
    def models(self) -> Path:
        """The folder with one folder a model."""
        return self.root / "models"

    @property
    def cache(self) -> Path:
        """Token caches and other things that can be made again."""
        return self.root / ".forge" / "cache"

    @property
    def trash(self) -> Path:
        """What was deleted or replaced, until it is emptied."""
        return self.models / ".trash"

    def model(self, name: str) -> Path:
        """The folder of a model, which need not exist.

        Raises:
            UsageError: the name is not safe.
        """
        return self.models / check_name(name)

    def runs(self, name: str) -> Path:
        """The folder of a model's runs."""
        return self.model(name) / "runs"

    def relative(self, path: Path) -> str:
        """`path` below the root if it is there, else as it is; for showing."""
        try:
            return str(path.resolve().relative_to(self.root.resolve()))
        except (ValueError, OSError, RuntimeError):  # elsewhere, or links in a circle
            return str(path)


def find_project(start: Path | None = None) -> Project | None:
    """The project around `start` (or the working folder): the nearest folder upwards with a forge.toml."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "forge.toml").is_file():
            return Project(folder)
    return None


def project_of(job_file: Path) -> Project:
    """The project that a job file belongs to: its folder."""
    return Project(job_file.resolve().parent)
