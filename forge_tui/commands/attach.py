"""`attach`: a run's whole history, then its lines as they come."""

from __future__ import annotations

import argparse
import sys

from engine.errors import error_of
from engine.events import Done, Event, Failed, Stopped
from engine.exit_codes import ExitCode
from engine.runs.launch import find_run
from forge_tui.commands.here import current_project
from forge_tui.following import follow
from forge_tui.printing import say
from forge_tui.run_lines import lines_for

EPILOG = """\
Ends when the run ends, with the run's own exit code. Ctrl-C only stops looking (exit code 130): the run goes on.

  forge-tui attach
  forge-tui attach sacrifice --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `attach`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="id, its beginning, or a model (default: the live or newest)"
    )
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")


def run(args: argparse.Namespace) -> int:
    """Follow a run to its end; the exit code is the run's own. Ctrl-C only stops looking."""
    found = find_run(current_project(), args.run)
    lines = lines_for(json=args.json, stream=sys.stdout)
    ended: Event | None = None
    try:
        for event in follow(found.folder):
            if event is None:
                continue
            if isinstance(event, Done | Stopped | Failed):
                ended = event
            lines(event)
    except KeyboardInterrupt:
        lines.close()
        say(f"Detached. {found.id} goes on; come back with: forge-tui attach {found.id}")
        return int(ExitCode.INTERRUPTED)
    lines.close()
    match ended:
        case Done():
            return int(ExitCode.DONE)
        case Stopped() as stopped:
            say("The same command continues it.")
            return stopped.exit_code
        case Failed() as failed:
            raise error_of(failed.code, failed.text, failed.fix, failed.exit_code)
    say(f"{found.id} was interrupted: its host is gone. The command that started it continues it.")
    return int(ExitCode.FAILED)
