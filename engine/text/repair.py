"""Repaired copies of data files, and a list of every change. The files themselves are never touched.

What can be repaired without a decision is: the encoding, byte order marks, line ends, control, reordering and invisible
characters, mojibake, old tool tags, tool JSON with small slips, and documents that are there twice.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UsageError
from engine.files import os_error
from engine.text.sanitize import one_line

CHANGES = "changes.txt"
"""The list of changes in the folder of the copies."""

LABELS = {
    "encoding": "files rewritten as UTF-8",
    "bom": "byte order marks removed",
    "line_ends": "line ends made plain newlines",
    "characters": "lines freed of control, reordering or invisible characters",
    "mojibake": "lines restored that had been read in the wrong encoding",
    "old_tools": "old tool tags rewritten as JSON tool tags",
    "tool_json": "tool tags whose JSON was mended",
    "duplicate": "documents removed that were there twice",
}
"""Kinds of change, for people."""


@dataclass(slots=True)
class Repaired:
    """What was done to one file."""

    file: str
    """As it was named."""
    copy: str
    """Path of the repaired copy; empty when none could be made."""
    changes: Counter[str] = field(default_factory=Counter)
    """How many changes of each kind of LABELS."""
    failed: str = ""
    """Why there is no copy."""


def repair(files: Sequence[str | Path], folder: Path) -> list[Repaired]:
    """Write a repaired copy of every file into `folder`, and the list of all changes beside them.

    Raises:
        UsageError: a copy would replace a file that is not one of an earlier repair.
        ForgeError: the folder cannot be written; what was there stays.
    """
    names = _copy_names([str(one) for one in files])
    _check_folder(folder, [str(one) for one in files], names)
    from engine.text.findings.sketch import SeenTable
    from engine.text.repair_file import REMEMBERED, FileRepair, new_file

    given = [str(one) for one in files]
    seen = SeenTable(REMEMBERED)
    with new_file(folder / CHANGES) as log:
        return [FileRepair(number, given, folder / name, log, seen).run() for number, name in enumerate(names)]


def _copy_names(files: list[str]) -> list[str]:
    """A name for each copy; what was packed is not packed any more, and equal names get numbers."""
    names: list[str] = []
    for file in files:
        path = Path(file)
        name = path.name.removesuffix(".gz") or "data.txt"
        stem, suffix = Path(name).stem, Path(name).suffix
        number = 1
        while name in names or name == CHANGES:
            number += 1
            name = f"{stem}-{number}{suffix}"
        names.append(name)
    return names


def _check_folder(folder: Path, files: list[str], names: list[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise os_error(problem, folder) from problem
    ours = (folder / CHANGES).exists()
    sources = {os.path.realpath(file) for file in files if "\0" not in file}
    for name in names:
        target = folder / name
        if os.path.realpath(target) in sources:
            raise UsageError(f"The copy of {one_line(name)} would replace the file itself.", fix="Name another folder.")
        if target.exists() and not ours:
            raise UsageError(
                f"There is already a file {one_line(name)} in {one_line(str(folder))}.", fix="Name an empty folder."
            )
