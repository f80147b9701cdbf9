"""Drive a program on a real pseudo-terminal: what no in-process test can see (escapes, signals, modes, descriptors)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from pty import fork
from typing import Any

CONTROL = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[=>78cDEHMNOZ]|\(B|\][^\x07\x1b]*(?:\x07|\x1b\\)|P[^\x1b]*\x1b\\|_[^\x1b]*\x1b\\)"
)
"""Everything that a terminal takes as a command."""


class Terminal:
    """A child process on a terminal of its own."""

    def __init__(
        self, argv: Sequence[str], *, folder: Path, size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None
    ) -> None:
        self.output = b""
        self.status: int | None = None
        environment = {
            "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": str(folder), "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1",
        } | (env or {})  # fmt: skip
        self.pid, self.fd = fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
                os.chdir(folder)
                os.execve(argv[0], list(argv), environment)
            finally:
                os._exit(127)
        self.before = termios.tcgetattr(self.fd)

    def read(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bytes:
        """Collect output for some time, or until something is true; returns what came."""
        start = len(self.output)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            if ready:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    self._reap(block=False)
                    break
                self.output += data
            self._reap(block=False)
            if self.status is not None and not ready:
                break
        return self.output[start:]

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Wait until the program has drawn a text."""
        self.read(seconds, lambda: text.encode() in self.visible(self.output))
        assert text.encode() in self.visible(self.output), (
            f"{text!r} never came; got {self.visible(self.output)[-1500:]!r}"
        )

    @staticmethod
    def visible(output: bytes) -> bytes:
        """The output without what a terminal takes as commands."""
        return CONTROL.sub(b"", output)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.fd, keys.encode())

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def _reap(self, *, block: bool) -> None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, 0 if block else os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)

    def exit_code(self, seconds: float = 60.0) -> int:
        """Wait for the end; negative for a signal."""
        self.read(seconds, lambda: self.status is not None)
        deadline = time.monotonic() + seconds
        while self.status is None and time.monotonic() < deadline:
            self._reap(block=False)
            time.sleep(0.02)
        assert self.status is not None, "the program does not end"
        return self.status

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        os.close(self.fd)

    @property
    def restored(self) -> bool:
        """Whether the terminal's modes are as they were and every mode that was switched on is switched off."""
        after: list[Any] = termios.tcgetattr(self.fd)
        last: dict[bytes, bytes] = {}
        for number, switch in re.findall(rb"\x1b\[\?(\d+)([hl])", self.output):
            last[number] = switch
        on = [
            number
            for number in (b"1049", b"1000", b"1002", b"1003", b"1006", b"2004", b"1004")
            if last.get(number) == b"h"
        ]
        cursor = last.get(b"25", b"h") == b"h"
        return bool(after[3] == self.before[3] and not on and cursor)

    def close(self) -> None:
        """End whatever is left."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._reap(block=True)
        with contextlib.suppress(OSError):
            os.close(self.fd)


def app(folder: Path, *arguments: str, **options: Any) -> Terminal:
    """forge-tui in a folder."""
    return Terminal([sys.executable, "-m", "forge_tui", *arguments], folder=folder, **options)
