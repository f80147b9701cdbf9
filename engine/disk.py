"""The few disk operations that a durable folder is made of, in one place so that tests can make each of them fail."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from engine.errors import DiskFullError, ForgeError
from engine.files import fsync_folder, os_error


class Disk:
    """The real disk. Every method is one step of the save protocol; tests count and interrupt them."""

    def make_folder(self, folder: Path) -> None:
        """Create a folder (its parent exists)."""
        folder.mkdir()

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file."""
        path.write_bytes(data)

    def write_tensors(self, path: Path, tensors: dict[str, object], metadata: dict[str, str]) -> None:
        """Write a safetensors file, readable by whoever may read its folder."""
        from safetensors.torch import save_file

        save_file(tensors, path, metadata=metadata)  # type: ignore[arg-type]
        umask = os.umask(0)
        os.umask(umask)
        path.chmod(0o666 & ~umask)  # safetensors creates files for the owner alone

    def sync(self, path: Path) -> None:
        """Make a file's content durable. An error is final for the file: a second fsync may lie."""
        with path.open("rb") as stream:
            os.fsync(stream.fileno())

    def sync_folder(self, folder: Path) -> None:
        """Make names and renames inside a folder durable."""
        fsync_folder(folder)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder its final name: the commit."""
        source.rename(target)

    def remove(self, folder: Path) -> None:
        """Remove a folder that nobody will look for by its final name any more."""
        shutil.rmtree(folder, ignore_errors=True)

    def free(self, folder: Path) -> int:
        """Bytes that we may still write below `folder`."""
        return shutil.disk_usage(folder).free


def translate(error: Exception, path: Path, disk: Disk) -> ForgeError:
    """What a failed write means. Libraries hide the errno of a full disk, so the free space is asked as well."""
    if isinstance(error, OSError):
        found = os_error(error, path)
        if isinstance(found, DiskFullError) or error.errno is not None:
            return found
    try:
        full = disk.free(path.parent if path.parent.exists() else path.parents[1]) < 1_000_000
    except OSError:
        full = False
    if full or "No space left" in str(error) or os.strerror(errno.EFBIG) in str(error):
        return DiskFullError("No space left on the device.", file=path, fix="Free some space, then run it again.")
    return ForgeError(f"Cannot write: {error}.", file=path)
