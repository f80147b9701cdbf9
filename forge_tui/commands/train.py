"""`build` and `train`: the training guide's verbs, with its defaults."""

from __future__ import annotations

import argparse

from engine.job import DEFAULT_DATA, DEFAULT_NAME, Job
from engine.job_file import parse_job
from engine.sizes import SIZES
from forge_tui.batch import Mode, run_job
from forge_tui.cli import add_batch_options
from forge_tui.commands.here import current_project, from_root

_DEFAULTS = Job()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `build` and `train`."""
    verb = parser.get_default("command")
    parser.add_argument(
        "--model", metavar="SIZE",
        help=f"{', '.join(SIZES)} (default: {_DEFAULTS.model.size}"
        + (", or that of the model that is there)" if verb == "train" else ")"),
    )  # fmt: skip
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"folder below models/ (default: {DEFAULT_NAME})")
    parser.add_argument(
        "--data",
        metavar="FILE",
        nargs="+",
        action="extend",
        help=f"training files, globs allowed (default: {DEFAULT_DATA})",
    )
    parser.add_argument("--epochs", metavar="N", help=f"passes over the data (default: {_DEFAULTS.train.epochs})")
    forced = (
        "replace the model that is there (it goes to the trash)"
        if verb == "build"
        else "do not continue an interrupted run"
    )
    parser.add_argument("--force", action="store_true", help=forced)
    add_batch_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train; forge.toml is not read, only where it lies: what is not given has the default of its key."""
    project = current_project()
    overrides = [f"train.method={args.command}", f"model.name={_quoted(args.name)}"]
    if args.model is not None:
        overrides.append(f"model.size={_quoted(args.model)}")
    if args.data is not None:
        overrides.append(f"data.files=[{', '.join(_quoted(name) for name in from_root(args.data, project))}]")
    if args.epochs is not None:
        overrides.append(f"train.epochs={args.epochs}")
    job = parse_job("", overrides=[*overrides, *args.set])
    size_given = args.model is not None or any(entry.strip().startswith("model.size") for entry in args.set)
    mode = Mode(json=args.json, detach=args.detach, dry_run=args.dry_run, force=args.force)
    return run_job(project, job, mode, size_given=size_given, always_new=True)


def _quoted(text: str) -> str:
    """`text` as a TOML string."""
    import json

    return json.dumps(text)
