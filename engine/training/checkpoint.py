"""Checkpoints: published atomically, verified before they are used, pruned without ever losing the good one.

A checkpoint is a folder `step-00000100` that is also a Hugging Face model folder. It is written under a temporary name
inside the same folder, every file fsynced, a manifest with sizes and sha256 sums last; the rename to the final name is
the commit, and the parent is fsynced after it. `best-00000100` holds only the weights with the lowest validation loss.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.disk import Disk, translate
from engine.errors import DiskFullError, ForgeError
from engine.files import sha256_of
from engine.runs.manifest import FORMAT, MANIFEST, OPTIMIZER, TRAINER, WEIGHTS, discard, found, size_of, verify

__all__ = [
    "Loaded", "Saved", "Skipped", "discard", "found", "load", "load_newest", "prune", "same_tensors", "save", "size_of",
    "sweep", "verify",
]  # fmt: skip

RESERVE_BYTES = 32_000_000
"""Left free on the disk by every save: logs and state must still fit."""
_WRITE_ERRORS = (OSError, RuntimeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint that is on disk."""

    path: Path
    step: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """A verified checkpoint."""

    path: Path
    step: int
    weights: dict[str, Tensor]
    """By Hugging Face name, on the CPU."""
    optimizer: dict[str, Tensor]
    trainer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A checkpoint that was not used, and why."""

    name: str
    reason: str


def save(
    folder: Path,
    step: int,
    weights: dict[str, Tensor],
    *,
    optimizer: dict[str, Tensor] | None,
    trainer: dict[str, Any],
    extras: Callable[[Path], None] | None = None,
    expected_bytes: int = 0,
    disk: Disk | None = None,
) -> Saved:
    """Publish a checkpoint; when this returns it is whole and durable, when it raises nothing has changed.

    Args:
        folder: The run's `checkpoints/`.
        step: Optimizer steps done.
        weights: By Hugging Face name.
        optimizer: State tensors; None writes `best-...` (weights alone).
        trainer: Everything else, as JSON values.
        extras: Writes further files (config.json, tokenizer) into the temporary folder.
        expected_bytes: Estimated size; refused before anything is written when the disk has less.
        disk: The disk; tests bring their own.

    Raises:
        DiskFullError: no space.
        ForgeError: any other error while writing.
    """
    disk = disk or Disk()
    started = time.monotonic()
    final = folder / f"{'step' if optimizer is not None else 'best'}-{step:08d}"
    temporary = folder / f".tmp-{final.name}-{os.getpid()}-{time.monotonic_ns()}"
    tensor_bytes = sum(t.numel() * t.element_size() for t in [*weights.values(), *(optimizer or {}).values()])
    need = int(1.05 * max(expected_bytes, tensor_bytes)) + RESERVE_BYTES
    if disk.free(folder) < need:
        raise DiskFullError(
            f"A checkpoint needs {need / 1e6:.0f} MB; {disk.free(folder) / 1e6:.0f} MB are free.",
            file=folder,
            fix="Free some space.",
        )
    try:
        disk.make_folder(temporary)
        if extras:
            extras(temporary)
        meta = {"format": "pt", "step": str(step)}
        disk.write_tensors(temporary / WEIGHTS, dict(weights), meta)
        if optimizer is not None:
            disk.write_tensors(temporary / OPTIMIZER, dict(optimizer), meta)
        disk.write(temporary / TRAINER, json.dumps(trainer, indent=1, allow_nan=True).encode())
        files = sorted(path for path in temporary.iterdir() if path.is_file())
        sums = {}
        for path in files:
            disk.sync(path)
            sums[path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        manifest = {"format": FORMAT, "step": step, "kind": final.name.partition("-")[0], "files": sums}
        disk.write(temporary / MANIFEST, json.dumps(manifest, indent=1).encode())
        disk.sync(temporary / MANIFEST)
        disk.sync_folder(temporary)
        replaced = folder / f".old-{final.name}"
        if final.exists():
            disk.rename(final, replaced)
        disk.rename(temporary, final)
        disk.sync_folder(folder)
        if replaced.exists():
            disk.remove(replaced)
    except _WRITE_ERRORS as error:
        disk.remove(temporary)
        raise translate(error, final, disk) from error
    total = sum(entry["bytes"] for entry in sums.values())  # type: ignore[misc]
    return Saved(path=final, step=step, bytes=int(total), seconds=time.monotonic() - started)


def load(path: Path) -> Loaded:
    """A checkpoint, verified.

    Raises:
        ForgeError: it is damaged, or is not a full checkpoint.
    """
    manifest = verify(path)
    try:
        return Loaded(
            path=path,
            step=manifest["step"],
            weights=load_file(path / WEIGHTS),
            optimizer=load_file(path / OPTIMIZER) if (path / OPTIMIZER).exists() else {},
            trainer=json.loads((path / TRAINER).read_bytes()),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise ForgeError(f"it cannot be read ({error})", file=path) from None


def load_newest(folder: Path, kind: str = "step") -> tuple[Loaded | None, list[Skipped]]:
    """The newest checkpoint that is whole, and those that were passed over; damaged ones are renamed `.corrupt`."""
    skipped: list[Skipped] = []
    for path in found(folder, kind):
        try:
            return load(path), skipped
        except ForgeError as error:
            skipped.append(Skipped(path.name, error.text))
            _set_aside(path)
    return None, skipped


def _set_aside(path: Path) -> None:
    for number in range(100):
        target = path.with_name(f"{path.name}.corrupt{number or ''}")
        if not target.exists():
            path.rename(target)
            return


def sweep(folder: Path, disk: Disk | None = None) -> None:
    """Finish or remove what interrupted saves and deletions left behind. Only under the run's lock."""
    disk = disk or Disk()
    for path in folder.glob(".old-*"):
        final = folder / path.name.removeprefix(".old-")
        if final.exists():
            disk.remove(path)
        else:
            disk.rename(path, final)
    for path in folder.glob(".*"):
        if path.name.startswith((".tmp-", ".del-")):
            disk.remove(path)


def prune(
    folder: Path, *, keep: int, budget_bytes: int | None = None, room_for: int = 0, disk: Disk | None = None
) -> list[str]:
    """Delete the oldest full checkpoints beyond the newest `keep`, then beyond the byte budget; the newest one stays.

    Args:
        folder: The run's `checkpoints/`.
        keep: How many full checkpoints may stay.
        budget_bytes: What all checkpoints together may take.
        room_for: Bytes of a checkpoint that is about to be written and counts against the budget.
        disk: The disk; tests bring their own.

    Returns:
        Names of what was deleted.
    """
    disk = disk or Disk()
    steps = found(folder)
    doomed = steps[max(1, keep) :]
    if budget_bytes is not None:
        kept = [path for path in steps if path not in doomed]
        total = room_for + sum(size_of(path) for path in [*kept, *found(folder, "best")])
        while total > budget_bytes and len(kept) > 1:
            oldest = kept.pop()
            total -= size_of(oldest)
            doomed.append(oldest)
    for path in [*doomed, *found(folder, "best")[1:]]:
        discard(path, disk)
    return [path.name for path in doomed]


def same_tensors(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
