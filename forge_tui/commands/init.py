"""`init`: a folder becomes a project."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.exit_codes import ExitCode
from forge_tui.printing import put, say

EPILOG = """\
Writes forge.toml, the starter data and models/README.md. What is there already stays as it is. Prints what it wrote.

  forge-tui init my-project
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `init`."""
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="made when it is missing (default: here)")


def run(args: argparse.Namespace) -> int:
    """Write what is missing, and say what that was; what is there stays as it is."""
    from forge_tui.new_project import make_project

    folder = Path(args.folder)
    written: list[Path] = []
    project = make_project(folder, written.append)
    for path in written:
        put(str(folder / path.relative_to(project.root)))
    if not written:
        say("Everything is there already: nothing was written.")
    change = f"cd {args.folder} && " if project.root != Path.cwd() else ""
    say(f"Next: {change}forge-tui --batch forge.toml")
    return int(ExitCode.DONE)
