"""The command line: which command was meant, its options, and what is said when there is no such thing."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Any, NoReturn

from engine.errors import UsageError

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("forge_tui.commands.init", "make a folder a project: forge.toml, starter data, models/"),
    "check": ("forge_tui.check", "look at training data: findings, counts, tokens"),
    "build": ("forge_tui.commands.train", "train a new model from scratch"),
    "train": ("forge_tui.commands.train", "continue a model, or build it when there is none"),
    "grow": ("forge_tui.commands.grow", "make a trained model larger, then train on"),
    "chat": ("forge_tui.commands.chat", "talk to a model"),
    "eval": ("forge_tui.commands.evaluate", "measure a model: bits per byte on held-out text"),
    "export": ("forge_tui.commands.export", "write a model for other programs: GGUF, Hugging Face"),
    "models": ("forge_tui.commands.models", "list the models of this project"),
    "runs": ("forge_tui.commands.runs", "list the runs of this project"),
    "attach": ("forge_tui.commands.attach", "follow a run: its history, then live"),
    "stop": ("forge_tui.commands.control", "save a run and stop it; the same command continues it"),
    "pause": ("forge_tui.commands.control", "save a run and let it rest"),
    "resume": ("forge_tui.commands.control", "let a paused run go on"),
    "save": ("forge_tui.commands.control", "write a checkpoint of a run now"),
    "set": ("forge_tui.commands.control", "change the learning rate of a run"),
    "sample": ("forge_tui.commands.control", "let a run answer a prompt with the weights it has now"),
    "doctor": ("forge_tui.commands.doctor", "look at this machine: packages, GPU, disk, terminal"),
}
"""Each command with its module, imported only when it runs, and its line in --help."""

FORCE_HELP = "start over, whatever was there; go on past errors in the data that lose no text"

EPILOG = """\
examples:
  forge-tui                                  the app
  forge-tui --batch forge.toml               the job, headless
  forge-tui --batch forge.toml --dry-run     what it would do, and why
  forge-tui train --model small --epochs 30  the training guide's way
  forge-tui chat sacrifice                   talk to what came out

exit codes: 0 finished, 1 failed, 2 usage or forge.toml, 3 data, 4 diverged, 5 out of memory, 6 disk full,
75 another run holds the model, 129/130/143 stopped by SIGHUP/SIGINT/SIGTERM (saved; the same command continues)
"""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are ours: one sentence, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(message[:1].upper() + message[1:] + ".", fix=f"See `{self.prog} --help`.")


class _Version(argparse.Action):
    """Prints the version; importlib.metadata is only loaded for that."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object, **options: object) -> None:
        print(f"forge-tui {version()}")
        parser.exit(0)


def version() -> str:
    """The installed version, or the source tree's."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("forge-tui")
    except PackageNotFoundError:
        return "(not installed)"


def build_parser(load: Sequence[str] = tuple(COMMANDS)) -> Parser:
    """The whole command line.

    Args:
        load: Commands whose modules are imported, so that their options are known.
    """
    parser = Parser(
        prog="forge-tui", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        description="Train, fine-tune and grow small language models from a terminal. Without arguments: the app.",
    )  # fmt: skip
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    batch = parser.add_argument_group("headless")
    batch.add_argument("--batch", metavar="FILE", help="run the job in FILE: train, continue, or say that it is done")
    add_batch_options(batch, prefix="batch_")
    batch.add_argument("--force", dest="batch_force", action="store_true", help=FORCE_HELP)
    app = parser.add_argument_group("the app")
    app.add_argument("--theme", metavar="NAME", help="colours of the app")
    app.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    app.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[:1].upper() + summary[1:] + ".", allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.set_defaults(command=name)
        if name in load:
            _module(module).add_arguments(command)
    return parser


def add_batch_options(group: Any, *, prefix: str = "") -> None:
    """The options that everything that trains has in common."""
    group.add_argument(
        "--set", dest=f"{prefix}set", metavar="KEY=VALUE", action="append", default=[],
        help="override a key of the job, such as train.epochs=50; may be repeated",
    )  # fmt: skip
    group.add_argument("--json", dest=f"{prefix}json", action="store_true", help="print events as JSON lines on stdout")
    group.add_argument("--detach", dest=f"{prefix}detach", action="store_true", help="leave the run in the background")
    group.add_argument(
        "--dry-run", dest=f"{prefix}dry_run", action="store_true",
        help='show the plan, each "auto" with its value and reason, and leave',
    )  # fmt: skip


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


def run_command(arguments: list[str]) -> int:
    """Run what the arguments say; returns the exit code.

    Raises:
        ForgeError: they are wrong, or the command fails.
    """
    _refuse_guide_spelling(arguments)
    parser = build_parser([name for name in COMMANDS if name in arguments])
    try:
        args, unknown = parser.parse_known_args(arguments)
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    if unknown:
        _refuse_unknown(parser, args, unknown)
    given = [f"--{name.removeprefix('batch_').replace('_', '-')}" for name in _BATCH_ONLY if getattr(args, name)]
    if args.command is not None:
        if given or args.batch is not None:
            shown = given[0] if given else "--batch"
            raise UsageError(
                f"{shown} cannot stand before a command.", fix=f"Such as: forge-tui {args.command} {shown}"
                if given else "Leave one of the two out.",
            )  # fmt: skip
        return int(_module(COMMANDS[args.command][0]).run(args))
    if args.batch is not None:
        return _batch(args)
    if given:
        raise UsageError(f"{given[0]} needs a job.", fix="Such as: forge-tui --batch forge.toml")
    from forge_tui.cli import open_app

    return open_app(theme=args.theme, ascii_only=args.ascii, mouse=not args.no_mouse)


_BATCH_ONLY = ("batch_set", "batch_json", "batch_detach", "batch_dry_run", "batch_force")


def _batch(args: argparse.Namespace) -> int:
    from pathlib import Path

    from forge_tui.batch import Mode, run_file

    mode = Mode(json=args.batch_json, detach=args.batch_detach, dry_run=args.batch_dry_run, force=args.batch_force)
    return run_file(Path(args.batch), args.batch_set, mode)


_SPELLINGS = {
    "--train": "forge-tui train", "--build": "forge-tui build", "--gui": "forge-tui", "--run": "forge-tui chat",
    "--chat": "forge-tui chat", "--grow": "forge-tui grow", "--eval": "forge-tui eval",
}  # fmt: skip
"""How the original spelled its commands."""


def _refuse_guide_spelling(arguments: list[str]) -> None:
    first = arguments[0] if arguments else ""
    if first in _SPELLINGS:
        raise UsageError(f"{first} is a command here, not an option.", fix=f"Write: {_SPELLINGS[first]}")
    if first and not first.startswith("-") and first not in COMMANDS:
        near = get_close_matches(first, COMMANDS, n=1)
        hint = f'Did you mean "{near[0]}"?' if near else f"Commands: {', '.join(COMMANDS)}."
        raise UsageError(f'There is no command "{first[:40]}".', fix=hint)


def _refuse_unknown(parser: Parser, args: argparse.Namespace, unknown: list[str]) -> NoReturn:
    options = _options(parser, args.command)
    name = unknown[0].partition("=")[0]
    near = get_close_matches(name, options, n=1, cutoff=0.7) if name.startswith("-") else []
    of = f"forge-tui {args.command}" if args.command else "forge-tui"
    fix = f'Did you mean "{near[0]}"?' if near else f"See `{of} --help`."
    what = "option" if name.startswith("-") else "argument"
    raise UsageError(f'{of} has no {what} "{name[:60]}".' if what == "option" else
                     f'{of} does not know what to do with "{name[:60]}".', fix=fix)  # fmt: skip


def _options(parser: Parser, command: str | None) -> list[str]:
    """Every option of the program, or of one command."""
    for action in parser._actions:
        if command and isinstance(action, argparse._SubParsersAction):
            parser = action.choices[command]
    return [text for action in parser._actions for text in action.option_strings]
