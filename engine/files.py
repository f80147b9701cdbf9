"""Writing files so that a crash leaves the old or the new content, never half of one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
import uuid
from pathlib import Path
from types import TracebackType

from engine.errors import DiskFullError, ForgeError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fsync_folder(folder: Path) -> None:
    """Make renames and new names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data` in one step: temporary file, fsync, rename, fsync of the folder.

    Args:
        path: The file; its folder must exist.
        data: The whole new content.
        durable: False skips the fsyncs, for files whose loss in a power cut does no harm.

    Raises:
        DiskFullError: no space; the old file is untouched.
        ForgeError: any other operating system error.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
        if durable:
            fsync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise os_error(error, path) from error


def os_error(error: OSError, path: Path) -> ForgeError:
    """The operating system's complaint as one of our errors."""
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return DiskFullError("No space left on the device.", file=path, fix="Free some space, then run it again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ForgeError(f"Cannot write here: {reason.lower()}.", file=path, fix="Check the owner and permissions.")
    return ForgeError(f"Cannot write: {reason.lower()}.", file=path)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class FileLock:
    """An advisory lock (flock) held as long as the process lives, however it dies: no pid files, nothing stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout: float = 0.25) -> bool:
        """Take the lock, waiting at most `timeout` seconds (a short look by `is_locked` must not refuse us).

        Raises:
            ForgeError: the file cannot be opened, or its file system has no locks.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise os_error(error, self.path) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_file(descriptor, self.path):
                    self._descriptor = descriptor
                    return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.02)
            except OSError as error:
                os.close(descriptor)
                raise ForgeError(
                    f"Files cannot be locked here: {(error.strerror or str(error)).lower()}.", file=self.path,
                    fix="Keep the project on a local disk, or on a network one with locks (`forge-tui doctor`).",
                ) from error  # fmt: skip
            os.close(descriptor)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether the file that was opened is still the one of that name: a lock on a deleted file locks nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock at `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(descriptor)
