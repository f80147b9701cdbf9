"""Atomic writes, errors of the system in words, and locks that die with their holder."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import DiskFullError, ForgeError
from engine.exit_codes import ExitCode
from engine.files import FileLock, is_locked, os_error, sha256_of, write_atomic

HOLD = """
import sys, time
from pathlib import Path
from engine.files import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"True\n"
    return holder


def end(holder: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    holder.send_signal(number)
    holder.wait()
    assert holder.stdout is not None
    holder.stdout.close()


def test_write_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"long and old")
    write_atomic(path, b"new", durable=False)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EIO, ForgeError)])
def test_a_failed_write_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, kind: type[ForgeError]
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    if step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    elif step == "fsync":
        monkeypatch.setattr("engine.files.os.fsync", fail)
    else:
        real = Path.open

        def opened(self: Path, *arguments: str) -> object:
            stream = real(self, *arguments)
            stream.close()
            fail()
            return stream

        monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(kind):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_no_reader_ever_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"a" * 50_000)
    script = (
        "import sys; from pathlib import Path; from engine.files import write_atomic\n"
        "while True:\n"
        "    for letter in b'abc': write_atomic(Path(sys.argv[1]), bytes([letter]) * 50_000, durable=False)"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    seen = set()
    deadline = time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < deadline:
        data = path.read_bytes()
        assert len(data) == 50_000 and len(set(data)) == 1
        seen.add(data[:1])
    writer.kill()
    writer.wait()
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (errno.ENOSPC, ExitCode.DISK, "No space left on the device."),
        (errno.EDQUOT, ExitCode.DISK, "No space left on the device."),
        (errno.EFBIG, ExitCode.DISK, "No space left on the device."),
        (errno.EACCES, ExitCode.FAILED, "Cannot write here: permission denied."),
        (errno.EROFS, ExitCode.FAILED, "Cannot write here: read-only file system."),
        (errno.EIO, ExitCode.FAILED, "Cannot write: input/output error."),
    ],
)
def test_errors_of_the_system_in_words(number: int, code: ExitCode, says: str) -> None:
    error = os_error(OSError(number, os.strerror(number)), Path("models/x"))
    assert error.exit_code == code and str(error).startswith(f"models/x: {says}")


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# ---- locks


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert not is_locked(first.path)
    assert first.acquire() and is_locked(first.path)
    assert not second.acquire(timeout=0.05)
    first.release()
    first.release()
    assert not is_locked(first.path) and second.acquire()
    with second:
        assert is_locked(second.path)
    assert not is_locked(second.path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_dies_with_its_holder(tmp_path: Path, number: int) -> None:
    path = tmp_path / "lock"
    holder = hold(path)
    assert is_locked(path) and not FileLock(path).acquire(timeout=0)
    end(holder, number)
    assert not is_locked(path) and FileLock(path).acquire()


def test_a_short_look_does_not_refuse_the_next_holder(tmp_path: Path) -> None:
    """`is_locked` takes the lock for an instant: whoever comes then must wait, not give up."""
    path = tmp_path / "lock"
    path.touch()
    script = "import sys; from pathlib import Path; from engine.files import is_locked as look\n"
    script += "while True: look(Path(sys.argv[1]))"
    looker = subprocess.Popen([sys.executable, "-c", script, str(path)])
    time.sleep(0.3)
    try:
        for _ in range(200):
            lock = FileLock(path)
            assert lock.acquire()
            lock.release()
    finally:
        looker.kill()
        looker.wait()


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """Else the lock of a dead host would live on in its worker."""
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(30,))
    child.start()
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        lock.release()
        assert not is_locked(lock.path)
    finally:
        child.kill()
        child.join()
        program.kill()
        program.wait()


def test_a_lock_on_a_deleted_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)
    path.unlink()
    lock = FileLock(path)
    assert not is_locked(path)
    assert lock.acquire() and is_locked(path)
    end(holder)
    assert is_locked(path)
    lock.release()


def test_a_place_without_locks_or_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForgeError, match=r"Cannot write: is a directory\."):
        FileLock(tmp_path).acquire()

    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("engine.files.fcntl.flock", none)
    with pytest.raises(ForgeError, match=r"Files cannot be locked here: no locks available\."):
        FileLock(tmp_path / "lock").acquire()
    assert not is_locked(tmp_path / "lock")


def test_what_is_not_there_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none") and not is_locked(tmp_path)
