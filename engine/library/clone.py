"""A model once more, with files of its own: what you do to the one never touches the other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from engine.errors import DiskFullError, ModelError
from engine.files import os_error, sha256_of
from engine.library.about import About, now, write_about
from engine.library.names import find_folder, free_folder
from engine.library.shelf import commit, library_lock, model_lock, staging
from engine.model.card import CARD_FILE, README_FILE, Ancestor, ModelCard
from engine.model.info import ModelInfo, read_model
from engine.model.versions import publish
from engine.project import Project

RESERVE_BYTES = 32_000_000
"""Left free on the disk."""


def clone(project: Project, name: str, new_name: str) -> Path:
    """Copy the published files of a model under a new name, without its runs; returns the new folder.

    Raises:
        UsageError: no such model, an unsafe name, or one that is taken.
        BusyError: a run holds the model.
        ModelError: it is damaged.
        DiskFullError: no space; nothing has changed.
    """
    with library_lock(project):
        folder = find_folder(project, name)
        target = free_folder(project, new_name)
        with model_lock(folder), staging(project.models) as staged:
            info = read_model(folder)
            check_space(project.models, sum(path.stat().st_size for path in info.files.values()))
            moment = now()
            card = cloned_card(info, new_name, moment)

            def write(place: Path) -> None:
                copy_files(info, place)
                (place / README_FILE).write_text(card.readme(), encoding="utf-8")
                (place / CARD_FILE).write_bytes(card.to_json())

            publish(staged, write)
            write_about(staged, About(since=moment))
            commit(staged, target)
    return target


def cloned_card(info: ModelInfo, name: str, moment: float) -> ModelCard:
    """The record of a copy."""
    card = info.card or ModelCard(
        name=info.name,
        size=info.size,
        parameters=info.parameters,
        vocabulary=info.architecture.vocabulary,
        context=info.architecture.context,
    )
    digest = card.weights_sha256 or (sha256_of(info.weights.files[0]) if len(info.weights.files) == 1 else "")
    step = Ancestor(
        action="clone",
        time=moment,
        size=info.size,
        parameters=info.parameters,
        val_bpb=card.metrics.get("val_bpb"),
        source=info.name,
        source_sha256=digest,
    )
    return replace(card, name=name, created=moment, weights_sha256=digest, lineage=(*card.lineage, step))


def copy_files(info: ModelInfo, place: Path) -> None:
    """Copy every file of one version of a model but those that say which model it is.

    Raises:
        ModelError: the model was replaced meanwhile.
        DiskFullError: no space.
        ForgeError: a file cannot be read or written.
    """
    for file, path in info.files.items():
        if file in (CARD_FILE, README_FILE):
            continue
        try:
            shutil.copyfile(path, place / file)
        except FileNotFoundError:
            raise ModelError("The model was replaced meanwhile.", file=path, fix="Try again.") from None
        except OSError as error:
            raise os_error(error, place / file) from error


def check_space(folder: Path, need: int) -> None:
    """Refuse early what will not fit.

    Raises:
        DiskFullError: with what is needed and what is free.
    """
    free = shutil.disk_usage(folder).free
    if free < need + RESERVE_BYTES:
        raise DiskFullError(
            f"This needs {(need + RESERVE_BYTES) / 1e6:.0f} MB; {free / 1e6:.0f} MB are free.",
            file=folder,
            fix="Free some space: `forge-tui models clean` shows what can go.",
        )
