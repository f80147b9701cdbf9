"""`build` and `train`: the training guide's verbs, with its defaults."""

from __future__ import annotations

import argparse

from engine.job import DEFAULT_NAME, Job
from engine.sizes import SIZES
from forge_tui.batch import run_job
from forge_tui.commands.here import current_project
from forge_tui.commands.verbs import add_data_options, add_run_options, job_of, mode_of

EPILOG = """\
forge.toml is not read, it only says where the project is: what is not given here has the default of its key. A new run
is started unless one with the same options was interrupted: that one goes on. `train` continues the model that is
there; `build` starts from scratch, and refuses to replace a model without --force.

  forge-tui train                              the guide's defaults: small, 30 epochs
  forge-tui train --model tiny --epochs 50 --data data/mine.txt
  forge-tui build --model micro --name first --data 'data/*.txt'
  forge-tui train --set train.preset=classic   the guide's own numbers
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build` and `train`."""
    parser.epilog = EPILOG
    builds = parser.get_default("command") == "build"
    default = f"default: {Job().model.size}" + ("" if builds else ", or that of the model that is there")
    parser.add_argument("--model", metavar="SIZE", help=f"{', '.join(SIZES)} ({default})")
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"folder below models/ (default: {DEFAULT_NAME})")
    add_data_options(parser)
    forced = "replace the model that is there: it goes to the trash" if builds else "do not continue an interrupted run"
    add_run_options(parser, force=forced)


def run(args: argparse.Namespace) -> int:
    """Train. forge.toml is not read; it only says where the project is."""
    project = current_project()
    job = job_of(args, project, method=args.command, name=args.name, size=args.model)
    size_given = args.model is not None or any(entry.strip().startswith("model.size") for entry in args.set)
    return run_job(project, job, mode_of(args), size_given=size_given, always_new=True)
