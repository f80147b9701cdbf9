"""What `build`, `train` and `grow` have in common: a job from options instead of a forge.toml."""

from __future__ import annotations

import argparse
from typing import Any

from engine.job import DEFAULT_DATA, Job
from engine.job_file import parse_job
from engine.project import Project
from forge_tui.batch import Mode
from forge_tui.command_line import add_batch_options
from forge_tui.commands.here import from_root

_DEFAULTS = Job()


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """`--data` and `--epochs`."""
    parser.add_argument(
        "--data", metavar="FILE", nargs="+", action="extend",
        help=f"training files, globs allowed (default: {DEFAULT_DATA})",
    )  # fmt: skip
    parser.add_argument("--epochs", metavar="N", help=f"passes over the data (default: {_DEFAULTS.train.epochs})")


def add_run_options(parser: argparse.ArgumentParser, *, force: str) -> None:
    """`--force` and what `--batch` has as well."""
    parser.add_argument("--force", action="store_true", help=force)
    add_batch_options(parser)


def job_of(args: argparse.Namespace, project: Project, *, method: str, name: str, size: str | None) -> Job:
    """The job that the options describe; whatever they do not name has the default of its key.

    Raises:
        UsageError: an option has no possible value.
    """
    import tomli_w

    table: dict[str, dict[str, Any]] = {"model": {"name": name}, "train": {"method": method}}
    if size is not None:
        table["model"]["size"] = size
    if args.data is not None:
        table["data"] = {"files": from_root(args.data, project)}
    if args.epochs is not None:
        table["train"]["epochs"] = int(args.epochs) if args.epochs.isdecimal() else args.epochs
    return parse_job(tomli_w.dumps(table), overrides=args.set)


def mode_of(args: argparse.Namespace) -> Mode:
    """How to run it."""
    return Mode(json=args.json, detach=args.detach, dry_run=args.dry_run, force=args.force)
