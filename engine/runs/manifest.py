"""Checkpoint folders without torch: which there are, what they hold, and whether every byte is as it was written.

Writing and loading them is in `engine.training.checkpoint`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from engine.disk import Disk
from engine.errors import ForgeError
from engine.files import sha256_of

FORMAT = 1
MANIFEST = "MANIFEST.json"
WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
TRAINER = "trainer.json"
FOLDER = "checkpoints"
"""Where a run keeps them."""

_NAME = re.compile(r"(step|best)-(\d{8,})")


def kind_and_step(name: str) -> tuple[str, int] | None:
    """("step", 100) or ("best", 100) from the name of a checkpoint; None for any other name."""
    match = _NAME.fullmatch(name)
    return (match.group(1), int(match.group(2))) if match else None


def found(folder: Path, kind: str = "step") -> list[Path]:
    """Folders that are named like checkpoints of `kind`, newest first; not verified."""
    if not folder.is_dir():
        return []
    named = [(path, kind_and_step(path.name)) for path in folder.iterdir() if path.is_dir()]
    steps = [(which[1], path) for path, which in named if which and which[0] == kind]
    return [path for _, path in sorted(steps, reverse=True)]


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint: `step`, `kind`, and `files` with `bytes` and `sha256` each; files are not read.

    Raises:
        ForgeError: it is missing or damaged; the message says what.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        files = manifest["files"]
        if manifest["format"] != FORMAT or WEIGHTS not in files or not isinstance(manifest["step"], int):
            raise ForgeError("its manifest is of another version", file=path)
        for name, entry in files.items():
            sound = isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
            if (path / name).parent != path or not sound:
                raise ForgeError("its manifest is of another version", file=path)
    except FileNotFoundError:
        raise ForgeError("it has no manifest: it was never finished", file=path) from None
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ForgeError(f"its manifest cannot be read ({error})", file=path) from None
    return dict(manifest)


def verify(
    path: Path, progress: Callable[[int], None] | None = None, *, leave_out: Collection[str] = ()
) -> dict[str, Any]:
    """The manifest of a checkpoint whose every file is as it was written.

    Args:
        path: The checkpoint.
        progress: Told the bytes of each file that is done; may raise to give up.
        leave_out: Files that are not looked at.

    Raises:
        ForgeError: something is missing, truncated or changed; the message says what.
    """
    manifest = read_manifest(path)
    for name, entry in manifest["files"].items():
        if name in leave_out:
            continue
        file = path / name
        try:
            if not file.is_file():
                raise ForgeError(f"{name} is missing", file=path)
            if file.stat().st_size != entry["bytes"]:
                raise ForgeError(f"{name} has {file.stat().st_size:,} bytes instead of {entry['bytes']:,}", file=path)
            if sha256_of(file) != entry["sha256"]:
                raise ForgeError(f"{name} has changed since it was written", file=path)
        except OSError as error:
            raise ForgeError(f"{name} cannot be read ({error.strerror})", file=path) from None
        if progress is not None:
            progress(entry["bytes"])
    return manifest


def read_trainer(path: Path) -> dict[str, Any]:
    """What the trainer knew when it wrote a checkpoint; empty when that cannot be read."""
    try:
        values = json.loads((path / TRAINER).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def size_of(path: Path) -> int:
    """Bytes of a checkpoint's files."""
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def discard(path: Path, disk: Disk) -> None:
    """Take the name away first, so that a crash in the middle leaves no half checkpoint under a good name."""
    doomed = path.with_name(f".del-{path.name}-{time.monotonic_ns()}")
    disk.rename(path, doomed)
    disk.remove(doomed)
