"""The terminal that we were started in: what it can show, and how it gets back to its owner whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from forge_tui.themes import CONSOLE, DEFAULT_DARK, DEFAULT_LIGHT

GRACE_SECONDS = 3.0
"""How long an orderly exit may take after a signal, before the terminal is restored by force."""

RESTORE = (
    b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[0m"
)
"""Main screen, cursor, no mouse, no focus reports, no bracketed paste, kitty keys popped, no colours."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the terminal can show."""

    colors: bool = True
    """False under NO_COLOR."""
    ascii_only: bool = False
    """Draw with ASCII characters: the Linux console, or a locale that is not UTF-8."""
    sixteen: bool = False
    """Only the terminal's own colours."""
    light: bool = False
    """The ground is light, as far as the terminal says."""
    mouse: bool = True
    """False over SSH, where reports of every movement would travel."""

    @property
    def default_theme(self) -> str:
        """The theme when nobody has chosen one."""
        if self.sixteen or not self.colors:
            return CONSOLE
        return DEFAULT_LIGHT if self.light else DEFAULT_DARK


def capabilities(environment: Mapping[str, str]) -> Capabilities:
    """What the environment tells about the terminal."""
    term = environment.get("TERM", "")
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    utf8 = "utf" in locale.lower() or not locale
    console = term == "linux" or term.startswith(("vt1", "vt2", "cons"))
    deep = (
        environment.get("COLORTERM", "") != ""
        or any(part in term for part in ("256", "direct", "kitty", "alacritty", "ghostty", "wezterm", "foot"))
        or environment.get("TERM_PROGRAM", "") != ""
    )
    _, _, ground = environment.get("COLORFGBG", "").rpartition(";")
    return Capabilities(
        colors=not environment.get("NO_COLOR"),
        ascii_only=console or not utf8,
        sixteen=console or not deep,
        light=ground in ("7", "15"),
        mouse=not any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
    )


def refusal() -> str | None:
    """Why the app cannot run here, or None."""
    batch = "Use `forge-tui --batch forge.toml` instead: plain lines, no terminal needed."
    try:
        terminal = all(os.isatty(descriptor) for descriptor in (0, 1, 2))
    except OSError:
        terminal = False
    if not terminal or sys.__stdin__ is None or sys.__stderr__ is None:
        return f"The app needs a terminal for its input and output. {batch}"
    if os.environ.get("TERM", "") in ("", "dumb"):
        return f"This terminal (TERM={os.environ.get('TERM', '') or 'not set'}) cannot move its cursor. {batch}"
    return None


class OutputGuard:
    """While the app draws, keeps what libraries write to file descriptors 1 and 2 out of the picture and in a log.

    Textual draws on `sys.__stderr__`, which is moved to a private descriptor meanwhile.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._saved: tuple[int, int] | None = None
        self._streams: tuple[Any, Any] | None = None

    def __enter__(self) -> OutputGuard:
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                stream.flush()
        self._saved = (os.dup(1), os.dup(2))
        self._streams = (sys.__stdout__, sys.__stderr__)
        out, err = (
            os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", closefd=False) for descriptor in self._saved
        )
        sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
        self._redirect()
        return self

    def _redirect(self) -> None:
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)

    def _restore(self) -> None:
        assert self._saved is not None
        os.dup2(self._saved[0], 1)
        os.dup2(self._saved[1], 2)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Give another program, such as an editor, the real descriptors for a while."""
        if self._saved is None:
            yield
            return
        self._restore()
        try:
            yield
        finally:
            self._redirect()

    def __exit__(self, *_: object) -> None:
        assert self._saved is not None and self._streams is not None
        for stream in (sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.flush()
        self._restore()
        for descriptor in self._saved:
            os.close(descriptor)
        sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]
        self._saved = None


class SignalExit:
    """Turns SIGTERM, SIGHUP and SIGINT into an orderly exit, and into a forced one when a stalled link blocks that.

    The handlers are ordinary Python ones, because a loop whose write to the terminal is blocked never runs its own.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        self._leave = leave
        self._attributes: list[Any] | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self.code: int | None = None
        """Exit code of the signal that came, whatever else goes wrong on the way out (a dead terminal does)."""

    def __enter__(self) -> SignalExit:
        with contextlib.suppress(termios.error, OSError):
            self._attributes = termios.tcgetattr(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        code = self.code = 128 + number
        timer = threading.Timer(GRACE_SECONDS, self._force, args=(code,))
        timer.daemon = True
        timer.start()
        self._leave(code)

    def _force(self, code: int) -> None:
        with contextlib.suppress(OSError):
            descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
            os.set_blocking(descriptor, False)
            os.write(descriptor, RESTORE)
        if self._attributes is not None:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(0, termios.TCSANOW, self._attributes)
        os._exit(code)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
