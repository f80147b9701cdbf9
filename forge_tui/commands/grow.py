"""`grow`: a model becomes larger without forgetting, then trains on."""

from __future__ import annotations

import argparse

from engine.errors import UsageError
from engine.project import Project, check_name
from engine.runs.state import runs_of
from engine.sizes import SIZES, size_named
from forge_tui.batch import run_job
from forge_tui.commands.here import current_project, existing_model
from forge_tui.commands.verbs import add_data_options, add_run_options, job_of, mode_of
from forge_tui.printing import say

EPILOG = """\
The grown model answers exactly as before; then it trains on with the room it has gained. Nothing may shrink: each size
grows to every larger one.

  forge-tui grow sacrifice small
  forge-tui grow sacrifice small --as larger --data data/mine.txt --epochs 10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `grow`."""
    parser.epilog = EPILOG
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument("size", metavar="SIZE", help=f"what it becomes: {', '.join(SIZES)}")
    parser.add_argument("--as", dest="new_name", metavar="NEW", help="grow a copy of this name; the model itself stays")
    add_data_options(parser)
    add_run_options(parser, force="do not continue an interrupted run")


def run(args: argparse.Namespace) -> int:
    """Grow and train."""
    project = current_project()
    existing_model(project, args.name)
    size_named(args.size)
    name = args.name if args.new_name is None else check_name(args.new_name)
    job = job_of(args, project, method="grow", name=name, size=args.size)
    if name != args.name:
        if args.dry_run:
            raise UsageError("--dry-run cannot look beyond the copy.", fix="Leave --as out to see the plan.")
        _copy(project, args.name, name, args.size)
    return run_job(project, job, mode_of(args), always_new=True)


def _copy(project: Project, name: str, new_name: str, size: str) -> None:
    """Clone the model, unless the same command has done so before and was interrupted."""
    from engine.library.clone import clone
    from engine.model.info import read_model
    from engine.runs.launch import check_growth

    if runs_of(project, new_name):
        return
    folder = project.model(name)
    check_growth(name, read_model(folder).architecture.dimensions, size_named(size).dimensions)
    clone(project, name, new_name)
    say(f"Copied models/{name} to models/{new_name}.")
