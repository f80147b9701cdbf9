"""`grow`: a model becomes larger without forgetting, then trains on."""

from __future__ import annotations

import argparse

from engine.errors import UsageError
from engine.job import DEFAULT_DATA
from engine.job_file import parse_job
from engine.project import Project, check_name
from engine.runs.state import runs_of
from engine.sizes import SIZES, size_named
from forge_tui.batch import Mode, run_job
from forge_tui.cli import add_batch_options
from forge_tui.commands.here import current_project, existing_model, from_root
from forge_tui.printing import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `grow`."""
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument("size", metavar="SIZE", help=f"what it becomes: {', '.join(SIZES)}")
    parser.add_argument("--as", dest="new_name", metavar="NEW", help="grow a copy of this name; the model itself stays")
    parser.add_argument(
        "--data", metavar="FILE", nargs="+", action="extend",
        help=f"what to train on afterwards, globs allowed (default: {DEFAULT_DATA})",
    )  # fmt: skip
    parser.add_argument("--epochs", metavar="N", help="passes over the data afterwards (default: 30)")
    parser.add_argument("--force", action="store_true", help="do not continue an interrupted run")
    add_batch_options(parser)


def run(args: argparse.Namespace) -> int:
    """Grow and train."""
    project = current_project()
    existing_model(project, args.name)
    size_named(args.size)
    name = args.name if args.new_name is None else check_name(args.new_name)
    overrides = ["train.method=grow", f"model.name={name}", f"model.size={args.size}"]
    if args.data is not None:
        overrides += [f"data.files={_list(from_root(args.data, project))}"]
    if args.epochs is not None:
        overrides.append(f"train.epochs={args.epochs}")
    job = parse_job("", overrides=[*overrides, *args.set])
    mode = Mode(json=args.json, detach=args.detach, dry_run=args.dry_run, force=args.force)
    if name != args.name:
        if mode.dry_run:
            raise UsageError("--dry-run cannot look beyond the copy.", fix="Leave --as out to see the plan.")
        _copy(project, args.name, name, args.size)
    return run_job(project, job, mode, always_new=True)


def _copy(project: Project, name: str, new_name: str, size: str) -> None:
    """Clone the model, unless the same command has done so before and was interrupted."""
    from engine.library.clone import clone
    from engine.model.info import read_model
    from engine.runs.launch import check_growth

    if runs_of(project, new_name):
        return
    folder = project.model(name)
    check_growth(name, read_model(folder).architecture.dimensions, size_named(size).dimensions)
    if project.model(new_name).exists():
        raise UsageError(f"models/{new_name} exists already.", fix="Choose another name after --as.")
    clone(project, name, new_name)
    say(f"Copied models/{name} to models/{new_name}.")


def _list(names: list[str]) -> str:
    import json

    return json.dumps(names)
