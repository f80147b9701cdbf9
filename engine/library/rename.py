"""Another name for a model: one rename of its folder, in which all paths are relative, so that it stays loadable."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from engine.errors import ForgeError
from engine.library.about import now, read_about, write_about
from engine.library.names import find_folder, free_folder
from engine.library.shelf import library_lock, model_lock, move
from engine.model.card import CARD_FILE, README_FILE
from engine.model.info import read_model
from engine.model.versions import publish
from engine.project import Project


def rename(project: Project, name: str, new_name: str) -> Path:
    """Rename a model with its runs; returns its new folder.

    The commit is the renaming of the folder, which is where its runs and all commands take the name from. The names it
    had stay in its notes, so that the lineages of other models still find it.

    Raises:
        UsageError: no such model, an unsafe name, or one that is taken.
        BusyError: a run holds it.
        ForgeError: the folder cannot be written.
    """
    with library_lock(project):
        folder = find_folder(project, name)
        target = free_folder(project, new_name, instead_of=folder.name)
        if target.name == folder.name:
            return folder
        with model_lock(folder):
            before = read_about(folder)
            write_about(folder, before.renamed(folder.name, now()))
            try:
                move(folder, target)
            except ForgeError:
                write_about(folder, before)
                raise
            with contextlib.suppress(ForgeError):  # it is renamed already; a full disk must not make that a failure
                refresh_card(target)
    return target


def refresh_card(folder: Path) -> None:
    """Let forge.json and README.md say the folder's name. Call it under the model's lock.

    Both say what the name was when they were written, so it does no harm when a crash comes before this.
    """
    try:
        info = read_model(folder)
    except ForgeError:
        return  # a damaged model can be renamed all the same
    card = info.card
    if card is None or card.name == folder.name:
        return
    card = replace(card, name=folder.name)

    def write(target: Path) -> None:
        for file, path in info.files.items():
            if file not in (CARD_FILE, README_FILE):
                link_or_copy(path, target / file)
        (target / README_FILE).write_text(card.readme(), encoding="utf-8")
        (target / CARD_FILE).write_bytes(card.to_json())

    publish(folder, write)


def link_or_copy(source: Path, target: Path) -> None:
    """The same content under another name, without taking space where the file system can do that.

    Files of a model are never changed in place, so a shared one stays as it is.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
