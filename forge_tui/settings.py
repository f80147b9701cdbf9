"""What the app remembers of a user, and what a user may set: a state file that we write, a keys file that we read."""

from __future__ import annotations

import contextlib
import os
import time
import tomllib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from engine.errors import ForgeError
from engine.files import write_atomic
from engine.typed import convert
from forge_tui.keys import check_keymap

APP = "forge-tui"
MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices that outlive a session."""

    theme: str = ""
    """Name of a theme; empty: chosen by the terminal."""
    chart_unit: str = "bpb"
    """`bpb` or `loss`."""
    chart_log: bool = False
    """Whether the loss axis is logarithmic."""
    chart_axis: str = "epoch"
    """`epoch` or `step`."""
    smoothing: int = 1
    """0 off, 1 some, 2 much."""
    answers: dict[str, str] = field(default_factory=dict)
    """Small things that screens remember, such as the last prompt."""


def state_file() -> Path:
    """Where the settings are kept."""
    return Path(platformdirs.user_state_dir(APP, appauthor=False)) / "app.json"


def keys_file() -> Path:
    """Where a user changes keys."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "keys.toml"


def crash_file() -> Path:
    """Where the traceback of an unexpected error goes."""
    return Path(platformdirs.user_log_dir(APP, appauthor=False)) / "app.log"


def log_crash(text: str) -> Path:
    """Append a traceback to the log; returns where that is."""
    path = crash_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(f"---- {time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n")
    return path


def load_settings() -> Settings:
    """The remembered settings; anything unreadable counts as not set."""
    try:
        data = _read(state_file())
        found: Any = msgspec.json.decode(data)
        known = asdict(Settings())
        kept = {key: value for key, value in found.items() if key in known}
        return convert(kept, Settings)
    except (OSError, ValueError, AttributeError, msgspec.MsgspecError):
        return Settings()


def save_settings(settings: Settings) -> bool:
    """Remember `settings`; False when the disk does not let us, which must never disturb the work."""
    path = state_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.format(msgspec.json.encode(settings), indent=1), durable=False)
    except (OSError, ForgeError):
        return False
    return True


def remember(settings: Settings, name: str, answer: str) -> Settings:
    """`settings` with one small answer added."""
    return replace(settings, answers={**settings.answers, name: answer[:2000]})


def load_keymap() -> tuple[dict[str, str], list[str]]:
    """The user's own keys as a Textual keymap, and what is wrong with keys.toml in sentences."""
    path = keys_file()
    try:
        table: Any = tomllib.loads(_read(path).decode("utf-8-sig")).get("keys", {})
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [f"keys.toml cannot be read: {error}"]
    if not isinstance(table, dict):
        return {}, ['keys.toml needs a table: [keys], then lines such as "train.pause" = "space".']
    keymap, problems = check_keymap(table)
    return keymap, [f"keys.toml: {problem}" for problem in problems]


def _read(path: Path) -> bytes:
    """The content of a small regular file; a device or a pipe in its place is refused instead of waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if data is None or len(data) > MAX_BYTES:
        raise ValueError("not a small text file")
    return data
