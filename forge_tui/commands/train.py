"""`build` and `train`: the training guide's verbs, with its defaults."""

from __future__ import annotations

import argparse

from engine.job import DEFAULT_NAME, Job
from engine.sizes import SIZES
from forge_tui.batch import run_job
from forge_tui.commands.here import current_project
from forge_tui.commands.verbs import add_data_options, add_run_options, job_of, mode_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build` and `train`."""
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
