"""Who can be talked to: a published model, one of its checkpoints, or what a run has trained so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError
from engine.files import is_locked
from engine.library.catalogue import ModelEntry, entry_of
from engine.library.checkpoints import Checkpoint, find_checkpoint, list_checkpoints
from engine.library.names import model_names
from engine.project import Project
from engine.runs.launch import MODEL_LOCK

PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Voice:
    """What is loaded to answer."""

    model: str
    folder: Path
    step: int | None
    """Of a checkpoint; None for the published model."""
    run: str
    """Of a checkpoint; else empty."""
    live: bool
    """Whether a run is training the model, so that there will be newer checkpoints."""
    converses: bool
    """Whether a prompt is a question to it."""


def voice_of(project: Project, name: str, which: str = "") -> Voice:
    """What answers for a model.

    Args:
        project: Where.
        name: The model.
        which: A checkpoint as in `find_checkpoint`; "published"; or nothing: while a run trains the model its newest
            checkpoint, else the published model, else the newest checkpoint of any run.

    Raises:
        UsageError: there is no such model or checkpoint, or nothing to talk to yet.
        ModelError: the published model is damaged.
    """
    entry = entry_of(project, name)
    if which == PUBLISHED or (not which and entry.loadable and not entry.alive):
        if not entry.loadable:
            raise UsageError(entry.problem or f"{entry.name} is not published yet.", fix="Talk to a checkpoint.")
        return Voice(entry.name, entry.folder, None, "", False, entry.conversation)
    if which:
        return _of(entry, find_checkpoint(project, entry.name, which))
    newest = [found for found in list_checkpoints(project, entry.name) if not found.problem]
    if entry.alive:
        own = [found for found in newest if found.run == entry.run]
        if own:
            return _of(entry, own[0])
        if entry.loadable:
            return Voice(entry.name, entry.folder, None, "", True, entry.conversation)
    if newest:
        return _of(entry, newest[0])
    raise UsageError(
        f"{entry.name} has nothing to say yet: there is no checkpoint.",
        fix="Wait for the first one, or save one now (c on the Train screen)." if entry.alive else "Train it first.",
    )


def is_training(project: Project) -> bool:
    """Whether any model of the project is held by a run, which needs the processor more."""
    return any(is_locked(project.models / name / "runs" / MODEL_LOCK) for name in model_names(project))


def _of(entry: ModelEntry, checkpoint: Checkpoint) -> Voice:
    live = entry.alive and checkpoint.run == entry.run
    return Voice(entry.name, checkpoint.path, checkpoint.step, checkpoint.run, live, entry.conversation)
