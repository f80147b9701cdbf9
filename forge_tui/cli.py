"""The entry point: what was meant, and how an error ends. Imports next to nothing until it knows."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence

from engine.errors import ForgeError, UsageError
from engine.exit_codes import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _flushed(_run(arguments))
    except ForgeError as error:
        _report(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        _silence(1)
        return int(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one sentence instead of a traceback
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _silence(1)
            _report(
                f"{error.filename or 'The output'}: No space left on the device. Free some space, then run it again."
            )
            return int(ExitCode.DISK)
        text = f"Something unexpected happened: {type(error).__name__}: {str(error) or 'no message'}."
        _report(f"{text} With FORGE_DEBUG=1 the traceback is shown.")
        return int(ExitCode.FAILED)


def _report(text: str) -> None:
    """One message on stderr, safe for a terminal; the traceback only when it is asked for."""
    from engine.text.sanitize import one_line

    if os.environ.get("FORGE_DEBUG", "") not in ("", "0"):
        import traceback

        traceback.print_exc()
    try:
        print(f"forge-tui: {one_line(text, 2000)}", file=sys.stderr, flush=True)
    except OSError:
        _silence(2)


def _flushed(code: int) -> int:
    """The exit code, which a terminal that is gone does not change."""
    try:
        print(end="", flush=True)  # unlike a method call, fine where there is no stdout at all
    except BrokenPipeError:
        raise
    except OSError:
        _silence(1)
    return code


def _silence(descriptor: int) -> None:
    """Whoever read us has gone: nothing more can be said, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _run(arguments: list[str]) -> int:
    if not arguments:  # the app opens sooner by all that the command line needs
        return open_app()
    from forge_tui.command_line import run_command

    return run_command(arguments)


def open_app(*, theme: str | None = None, ascii_only: bool = False, mouse: bool = True) -> int:
    """Open the app on this terminal; returns its exit code.

    Args:
        theme: As in `forge_tui.app.run_app`.
        ascii_only: Draw with ASCII characters whatever the terminal can do.
        mouse: False: leave the mouse to the terminal.

    Raises:
        UsageError: there is no terminal.
    """
    from engine.project import find_project

    project = find_project()
    if not all(_is_terminal(descriptor) for descriptor in (0, 1, 2)):
        where = "" if project else " There is no forge.toml here either: `forge-tui init` makes one."
        raise UsageError(f"The app needs a terminal.{where}", fix="Without one: forge-tui --batch forge.toml")
    # Imports make many objects and no garbage: looking for it takes a tenth of the time to the first picture, after
    # which the app switches the collector on again.
    gc.disable()
    from forge_tui.app import run_app

    return run_app(project, theme=theme, ascii_only=True if ascii_only else None, mouse=None if mouse else False)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
