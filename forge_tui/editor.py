"""The user's own editor, opened at a line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.errors import UsageError

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp

FALLBACKS = ("nano", "vim", "vi", "micro", "hx", "emacs")
_COLON = ("hx", "helix", "subl", "zed")
_GOTO = ("code", "codium", "code-insiders", "cursor")


def editor_command(path: Path, line: int | None, environment: Mapping[str, str]) -> list[str]:
    """The command that edits `path` at a line: $VISUAL, $EDITOR, or what is installed.

    Raises:
        UsageError: there is no editor.
    """
    chosen = environment.get("VISUAL") or environment.get("EDITOR") or ""
    try:
        command = shlex.split(chosen)
    except ValueError:
        raise UsageError(f"$EDITOR cannot be understood: {chosen[:80]}") from None
    if not command:
        found = next((name for name in FALLBACKS if shutil.which(name)), None)
        if found is None:
            raise UsageError("There is no editor.", fix="Name one: export EDITOR=nano")
        command = [found]
    file, name = str(path.absolute()), Path(command[0]).name
    if not line:
        return [*command, file]
    if name in _COLON:
        return [*command, f"{file}:{line}"]
    if name in _GOTO:
        return [*command, "--wait", "--goto", f"{file}:{line}"]
    return [*command, f"+{line}", file]


def edit(app: ForgeApp, path: Path, line: int | None = None) -> bool:
    """Give the terminal to the editor until it is closed; False, and a word why, when that cannot be."""
    try:
        command = editor_command(path, line, os.environ)
        with app.suspend():
            subprocess.call(command)
    except UsageError as error:
        app.show_error(error)
        return False
    except OSError as error:
        app.notify(f"{command[0]} cannot be started: {error.strerror}\nSet $EDITOR to another one.", severity="error")
        return False
    except SuspendNotSupported:
        app.notify("This terminal cannot be lent to an editor.", severity="warning")
        return False
    return True
