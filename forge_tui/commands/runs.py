"""`runs`: every run of the project, newest first."""

from __future__ import annotations

import argparse
import time
from typing import Any

from engine.exit_codes import ExitCode
from engine.runs.state import Run, runs_of
from forge_tui import figures
from forge_tui.commands.here import current_project
from forge_tui.printing import put, put_table, say

EPILOG = """\
States: preparing, training, paused, stopping, stopped, finished, failed, and interrupted: its host was killed or the
machine restarted. All but finished runs go on when the command that started them is run again.

  forge-tui runs --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `runs`."""
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: argparse.Namespace) -> int:
    """List the runs."""
    project = current_project()
    runs = runs_of(project)
    if args.json:
        import json

        put(json.dumps([to_dict(run) for run in runs], indent=1))
        return int(ExitCode.DONE)
    if not runs:
        say("This project has no runs yet. Start one with `forge-tui --batch forge.toml`.")
        return int(ExitCode.DONE)
    rows = [("run", "model", "state", "progress", "left", "bits/byte", "began")]
    for run in runs:
        state = run.state
        share = f"{state.step / state.steps:.0%}" if state.steps else "-"
        left = figures.duration(state.eta_seconds) if run.alive and run.phase == "training" else "-"
        value = figures.loss(state.best_val_bpb) if state.best_val_bpb is not None else "-"
        began = figures.ago(max(0.0, time.time() - state.created))
        rows.append((run.id, run.folder.parents[1].name, run.phase, share, left, value, began))
    put_table(rows, right=(3, 4, 5))
    continued = next((run for run in runs if run.can_continue), None)
    if continued is not None:
        say(f"{continued.id} can go on: run the command again that started it.")
    return int(ExitCode.DONE)


def to_dict(run: Run) -> dict[str, Any]:
    """As JSON values: a contract with scripts."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(run.state)
    head = {"run": run.id, "model": run.folder.parents[1].name, "phase": run.phase, "alive": run.alive}
    return head | {key: value for key, value in fields.items() if key not in head} | {"path": str(run.folder)}
