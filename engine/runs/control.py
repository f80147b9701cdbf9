"""Commands to a run: small files dropped into its `control/` folder by temporary name and rename."""

from __future__ import annotations

import contextlib
import getpass
import math
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from engine.errors import UsageError
from engine.files import os_error
from engine.typed import decode_json

CommandName = Literal["pause", "resume", "save", "stop", "stop_now", "set_learning_rate", "sample"]
FOLDER = "control"
MAX_BYTES = 16_384


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """Something a run is asked to do."""

    command: CommandName
    by: str = ""
    """Who asks: user@host, or the signal."""
    id: str = ""
    """Repeated in the event that acknowledges it."""
    value: float | None = None
    """The new learning rate."""
    prompt: str = ""
    """What to answer."""


def sender() -> str:
    """user@host of this process, as shown in acknowledgements."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def check(command: Command) -> Command:
    """The command itself when its arguments make sense.

    Raises:
        UsageError: with the reason.
    """
    if command.command == "set_learning_rate" and not (
        command.value is not None and math.isfinite(command.value) and 0.0 < command.value <= 10.0
    ):
        raise UsageError("A learning rate is a number above 0 and at most 10.", fix="Such as 0.0005.")
    if command.command == "sample" and not command.prompt.strip():
        raise UsageError("There is nothing to answer: the prompt is empty.")
    return command


def send(run: Path, command: Command) -> Command:
    """Drop a command for the host of `run`; returns it with `id` and `by` filled in.

    Raises:
        UsageError: the arguments make no sense.
        ForgeError: the file cannot be written.
    """
    check(command)
    identity = command.id or uuid.uuid4().hex[:12]
    stamped = Command(
        command=command.command,
        by=(command.by or sender())[:100],
        id=identity,
        value=command.value,
        prompt=command.prompt[:2000].encode("utf-8", "replace").decode(),
    )
    folder = run / FOLDER
    path = folder / f"{time.time_ns():020d}-{identity}.json"
    temporary = folder / f".{path.name}.tmp"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(stamped))
        temporary.rename(path)
    except OSError as error:
        raise os_error(error, path) from error
    return stamped


def take(run: Path) -> list[Command]:
    """Remove and return the waiting commands, oldest first; files that are no commands are removed and ignored."""
    folder = run / FOLDER
    taken = []
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".json" and entry.name[0] != ".")
    except OSError:
        return []
    for name in names:
        path = folder / name
        command: Command | None = None
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if path.is_file() and path.stat().st_size <= MAX_BYTES:
                command = decode_json(path.read_bytes(), Command)
        with contextlib.suppress(OSError):
            path.unlink()
            taken += [command] if command is not None else []
    return taken
