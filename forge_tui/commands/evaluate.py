"""`eval`: how well a model predicts a text."""

from __future__ import annotations

import argparse

from engine.exit_codes import ExitCode
from forge_tui import figures
from forge_tui.commands.here import current_project, existing_model
from forge_tui.printing import put, put_facts, say

EPILOG = """\
Prints bits per UTF-8 byte of text, which can be compared between models with different tokenizers; lower is better.
Without --data it scores what was held out when the model was trained.

  forge-tui eval sacrifice
  forge-tui eval sacrifice --data data/simple_qa.txt --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `eval`."""
    parser.epilog = EPILOG
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument(
        "--data", metavar="FILE", nargs="+", action="extend",
        help="texts to score, globs allowed (default: what was held out from its training)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Score the model in a process of its own."""
    from pathlib import Path

    from engine.runs.task import run_task
    from engine.text.formats import expand, sniff

    project = current_project()
    folder = existing_model(project, args.name)
    files = None if args.data is None else [str(path.resolve()) for path in expand(args.data, Path.cwd())]
    for file in files or ():
        sniff(file)
    arguments = {"root": str(project.root), "name": folder.name, "files": files}
    found = run_task("engine.training.scoring:score_model", arguments, hear=say)
    if args.json:
        import json

        put(json.dumps({"model": folder.name, "files": files, **found}))
        return int(ExitCode.DONE)
    recorded = found["recorded"]
    before = f" (recorded: {figures.loss(recorded)})" if recorded is not None else ""
    put_facts(
        [
            ("bits per byte", figures.loss(found["bits_per_byte"]) + before),
            ("nats per token", figures.loss(found["loss"])),
            ("scored", f"{found['documents']:,} documents, {found['tokens']:,} tokens, "
                       f"{figures.size(found['text_bytes'])} of text"),
        ]
    )  # fmt: skip
    return int(ExitCode.DONE)
