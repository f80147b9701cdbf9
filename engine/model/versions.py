"""Replacing a model's files in one step: a reader sees all of the old version or all of the new one.

    models/x/.versions/20260131T120000-1f2e3d4c/{config.json, model.safetensors, ...}
    models/x/.current             -> .versions/20260131T120000-1f2e3d4c
    models/x/config.json          -> .current/config.json
    models/x/model.safetensors    -> .current/model.safetensors

A new version is written beside the old one, made durable, and `.current` is swapped by one rename. All links are
relative, so the folder can be renamed, moved and copied. Where there are no symbolic links (exFAT), files are renamed
into place one by one instead, the record of their digests last.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.errors import ModelError
from engine.files import fsync_folder, os_error

CURRENT = ".current"
VERSIONS = ".versions"

_LAST = "forge.json"
_FIRST_LOOKED_FOR = "config.json"
"""Appears last in a new model, so that what looks like a model is a whole one."""

_LEFT_BEHIND = re.compile(r"\.\d{8}T\d{6}-[0-9a-f]{8}\.(link|probe)")


def publish(folder: Path, write: Callable[[Path], None]) -> Path:
    """Replace the model's files by what `write` writes; other files in the folder stay.

    A crash at any moment leaves the old or the new version in place. One writer at a time: callers hold the
    model's lock.

    Args:
        folder: the model folder; made when it is missing.
        write: gets an empty folder and writes all files of the model into it.

    Returns:
        The folder in which the new files really are.

    Raises:
        DiskFullError: no space; the old version stays.
        ForgeError: the folder cannot be written, or whatever `write` raises; the old version stays.
    """
    identity = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
    versions = folder / VERSIONS
    staged = versions / f"{identity}.tmp"
    try:
        versions.mkdir(parents=True, exist_ok=True)
        _sweep(versions)
        staged.mkdir()
        write(staged)
        if not any(staged.iterdir()):
            raise ModelError("A model without files cannot be published.", file=folder)
        _make_durable(staged)
        version = staged.rename(versions / identity)
        fsync_folder(versions)
        _refuse_folders(folder, version)
        if not _can_link(folder, identity):
            return _move_one_by_one(folder, version)
        _adopt_plain_files(folder, version, identity)
        _point(folder, CURRENT, f"{VERSIONS}/{identity}", identity)
        _link_names(folder, version, identity)
        fsync_folder(folder)
    except OSError as error:
        raise os_error(error, folder) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    _discard(path for path in versions.iterdir() if path.name != identity)
    return version


def _point(folder: Path, name: str, target: str, identity: str) -> None:
    """Make the link `name` point to `target`, replacing whatever file or link has that name, in one step."""
    link = folder / name
    if link.is_symlink() and link.readlink() == Path(target):
        return
    temporary = folder / f".{identity}.link"
    temporary.symlink_to(target)
    temporary.replace(link)


def _refuse_folders(folder: Path, version: Path) -> None:
    for path in version.iterdir():
        place = folder / path.name
        if path.is_dir() or (place.is_dir() and not place.is_symlink()):
            _discard([version])
            raise ModelError("A folder stands where a file of the model belongs.", file=place)


def _link_names(folder: Path, version: Path, identity: str) -> None:
    names = {path.name for path in version.iterdir()}
    for name in sorted(names, key=lambda name: (name == _FIRST_LOOKED_FOR, name)):
        _point(folder, name, f"{CURRENT}/{name}", identity)
    for path in list(folder.iterdir()):
        if path.is_symlink() and path.name not in names and path.readlink().parts[:1] == (CURRENT,):
            path.unlink()


def _adopt_plain_files(folder: Path, version: Path, identity: str) -> None:
    """Turn a model whose files stand in the folder itself into a version, so that it too is replaced in one step.

    That is what an imported model looks like, and one copied by a program that follows links.
    """
    current = folder / CURRENT
    if current.is_dir() and not current.is_symlink():
        for path in folder.iterdir():
            if path.is_symlink() and path.readlink() == Path(CURRENT, path.name):
                _replace_by_file(path, current / path.name, identity)
        current.rename(folder / VERSIONS / f"{identity}.copy")
    new = {path.name for path in version.iterdir()}
    plain = {
        path.name: path
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink() and (path.name in new or ".safetensors" in path.name)
    }
    if not plain:
        return
    linked = {path.name: path for path in current.iterdir() if path.is_file()} if current.is_symlink() else {}
    adopted = folder / VERSIONS / f"{identity}.old"
    adopted.mkdir()
    for name, path in {**linked, **plain}.items():
        _link_or_copy(path, adopted / name)
    _make_durable(adopted)
    _point(folder, CURRENT, f"{VERSIONS}/{adopted.name}", identity)
    for name in plain:
        _point(folder, name, f"{CURRENT}/{name}", identity)
    fsync_folder(folder)


def _replace_by_file(link: Path, source: Path, identity: str) -> None:
    temporary = link.with_name(f".{identity}.link")
    _link_or_copy(source, temporary)
    temporary.replace(link)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _can_link(folder: Path, identity: str) -> bool:
    probe = folder / f".{identity}.probe"
    try:
        probe.symlink_to(VERSIONS)
    except OSError:
        return False
    probe.unlink()
    return True


def _move_one_by_one(folder: Path, version: Path) -> Path:
    for path in sorted(version.iterdir(), key=lambda path: (path.name == _LAST, path.name)):
        path.replace(folder / path.name)
    fsync_folder(folder)
    _discard([version])
    return folder


def _make_durable(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    fsync_folder(folder)


def _sweep(versions: Path) -> None:
    """Remove what a killed writer left behind."""
    _discard(path for path in versions.iterdir() if path.suffix == ".tmp")
    for path in versions.parent.iterdir():
        if _LEFT_BEHIND.fullmatch(path.name):
            path.unlink()


def _discard(paths: Iterable[Path]) -> None:
    for path in list(paths):
        shutil.rmtree(path, ignore_errors=True)
