"""The checkpoints of a model's runs: which there are, what they hold, and whether every byte of them is as written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.disk import Disk
from engine.errors import ForgeError, UsageError
from engine.files import os_error
from engine.library.names import find_folder
from engine.library.shelf import library_lock, model_lock
from engine.project import Project
from engine.runs import manifest
from engine.runs.curve import Bucket
from engine.runs.digest import open_digest
from engine.runs.state import Phase, Run, runs_of
from engine.text.sanitize import one_line


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """One checkpoint of a model."""

    model: str
    run: str
    name: str
    """The folder's name, such as step-00000100; best-... holds the weights alone."""
    path: Path
    step: int
    bytes: int
    best: bool
    """Whether these are the weights with the lowest validation loss of the run."""
    resumable: bool
    """Whether a run can go on from it."""
    val_bpb: float | None
    """Validation bits per byte of exactly these weights; None where they were not evaluated."""
    saved: float
    """Seconds since the epoch."""
    phase: Phase
    """Of its run."""
    problem: str = ""
    """Why it cannot be used."""

    @property
    def id(self) -> str:
        """run/name."""
        return f"{self.run}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "run": self.run,
            "name": self.name,
            "path": str(self.path),
            "step": self.step,
            "bytes": self.bytes,
            "best": self.best,
            "resumable": self.resumable,
            "val_bpb": self.val_bpb,
            "saved": self.saved,
            "phase": self.phase,
            "problem": self.problem,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a checkpoint holds, after every byte was checked."""

    checkpoint: Checkpoint
    files: dict[str, int]
    """Name to bytes."""
    tokens: int
    """Trained on in this run up to here."""
    seconds: float
    """In training up to here."""
    best_bpb: float | None
    """Lowest validation bits per byte up to here."""
    best_step: int | None
    rate_scale: float
    """What commands and roll-backs have done to the learning rate."""
    problem: str
    """What is wrong; empty when it is whole."""


def list_checkpoints(project: Project, name: str) -> list[Checkpoint]:
    """All checkpoints of a model's runs, newest run first, newest step first; also those that were set aside.

    Raises:
        UsageError: there is no such model.
    """
    folder = find_folder(project, name)
    return [found for run in runs_of(project, folder.name) for found in checkpoints_of(run)]


def checkpoints_of(run: Run) -> list[Checkpoint]:
    """The checkpoints of one run, newest step first."""
    folder = run.folder / manifest.FOLDER
    if not folder.is_dir():
        return []
    digest, reader = open_digest(run.folder)
    reader.close()
    values = _evaluations(digest.val_bpb.buckets)
    found = []
    for path in folder.iterdir():
        base, _, corrupt = path.name.partition(".")
        named = manifest.kind_and_step(base)
        if named is None or not path.is_dir() or (corrupt and not corrupt.startswith("corrupt")):
            continue
        try:
            found.append(_read(run, path, named, values, set_aside=bool(corrupt)))
        except FileNotFoundError:
            continue  # pruned meanwhile
    return sorted(found, key=lambda entry: (entry.step, entry.resumable), reverse=True)


def _evaluations(buckets: Sequence[Bucket]) -> dict[int, float]:
    """Step to value, for all steps that a curve still knows exactly."""
    values: dict[int, float] = {}
    for bucket in buckets:
        values |= {bucket.first_at: bucket.first, bucket.low_at: bucket.low, bucket.high_at: bucket.high}
        values[bucket.last_at] = bucket.last
    return values


def _read(run: Run, path: Path, named: tuple[str, int], values: dict[int, float], *, set_aside: bool) -> Checkpoint:
    kind, step = named
    problem = "It was damaged and set aside." if set_aside else ""
    if not problem:
        try:
            manifest.read_manifest(path)
        except ForgeError as error:
            problem = f"It cannot be used: {error.text}."
    val_bpb = values.get(step)
    if val_bpb is None and kind == "best":
        val_bpb = _number(manifest.read_trainer(path).get("val_bpb"))
    return Checkpoint(
        model=run.folder.parents[1].name,
        run=run.id,
        name=path.name,
        path=path,
        step=step,
        bytes=manifest.size_of(path),
        best=kind == "best" or step == run.state.best_step,
        resumable=kind == "step" and not problem,
        val_bpb=val_bpb,
        saved=path.stat().st_mtime,
        phase=run.phase,
        problem=problem,
    )


def find_checkpoint(project: Project, name: str, which: str) -> Checkpoint:
    """A checkpoint by "run/step-00000100", "step-00000100", a step number, "best" or "newest".

    Of several that fit, the one of the newest run; of one step, the one with everything in it.

    Raises:
        UsageError: there is none.
    """
    found = [entry for entry in list_checkpoints(project, name) if which in _names(entry)]
    usable = [entry for entry in found if not entry.problem] or found
    if which == "newest":
        usable = [entry for entry in list_checkpoints(project, name) if not entry.problem]
    if not usable:
        known = [entry.id for entry in list_checkpoints(project, name)]
        fix = "There are: " + ", ".join(known[:4]) + (", ..." if len(known) > 4 else "") if known else ""
        raise UsageError(f'{name} has no checkpoint "{one_line(which, 60)}".', fix=fix or "Its runs left none.")
    return usable[0]


def _names(entry: Checkpoint) -> set[str]:
    names = {entry.id, entry.name, str(entry.step)}
    return names | {"best"} if entry.best else names


def inspect_checkpoint(checkpoint: Checkpoint, progress: Callable[[int], None] | None = None) -> Inspection:
    """Check every byte of a checkpoint and read what the trainer noted in it.

    Args:
        checkpoint: Which.
        progress: Told the bytes of each file that is done; may raise to give up.
    """
    problem, files = checkpoint.problem, {}
    try:
        found = manifest.verify(checkpoint.path, progress)
        files = {str(name): int(entry["bytes"]) for name, entry in found["files"].items()}
    except ForgeError as error:
        problem = problem or f"It cannot be used: {error.text}."
    noted = manifest.read_trainer(checkpoint.path)
    return Inspection(
        checkpoint=checkpoint,
        files=files,
        tokens=int(_number(noted.get("tokens")) or 0),
        seconds=_number(noted.get("seconds")) or 0.0,
        best_bpb=_number(noted.get("best_bpb")),
        best_step=None if (best := _number(noted.get("best_step"))) is None else int(best),
        rate_scale=_number(noted.get("rate_scale")) or 1.0,
        problem=problem,
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def delete_checkpoint(project: Project, name: str, which: str) -> Checkpoint:
    """Remove a checkpoint for good; returns what it was.

    Raises:
        UsageError: no such model or checkpoint.
        BusyError: a run holds the model.
        ForgeError: it cannot be removed.
    """
    with library_lock(project):
        folder = find_folder(project, name)
        with model_lock(folder):
            checkpoint = find_checkpoint(project, folder.name, which)
            discard_checkpoint(checkpoint)
    return checkpoint


def discard_checkpoint(checkpoint: Checkpoint) -> None:
    """Remove a checkpoint. Call it under the model's lock.

    Raises:
        ForgeError: it cannot be removed.
    """
    try:
        manifest.discard(checkpoint.path, Disk())
    except OSError as error:
        raise os_error(error, checkpoint.path) from error
