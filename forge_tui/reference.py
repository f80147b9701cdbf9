"""docs/commands.md, made from the command line itself: `python -m forge_tui.reference > docs/commands.md`."""

from __future__ import annotations

import argparse
import sys

from forge_tui.command_line import COMMANDS, build_parser

HEAD = """\
# Commands

Made from the command line by `python -m forge_tui.reference`. What a command prints on stdout is data; everything else
goes to stderr. Nothing asks questions without a terminal.

"""
EXIT_CODES = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | finished; early stopping counts as finished |
| 1 | failed in a way that no other code names |
| 2 | the command line or forge.toml is wrong |
| 3 | the training data cannot be used |
| 4 | the loss diverged and could not recover |
| 5 | out of memory and could not recover |
| 6 | the disk is full |
| 75 | another run holds this model |
| 129, 130, 143 | stopped by SIGHUP, SIGINT (Ctrl-C), SIGTERM; saved, and the same command continues |
"""


def reference() -> str:
    """The whole page."""
    parser = build_parser()
    text = HEAD + _section(parser, "## forge-tui", "")
    for name in COMMANDS:
        command = commands_of(parser)[name]
        text += _section(command, f"## forge-tui {name}", command.description or "")
        for verb, sub in commands_of(command).items():
            text += _section(sub, f"### forge-tui {name} {verb}", sub.description or "")
    return text + EXIT_CODES


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _section(parser: argparse.ArgumentParser, head: str, description: str) -> str:
    usage = " ".join([parser.prog, "[options]", *map(_positional, _positionals(parser))])
    text = f"{head}\n\n" + (f"{description}\n\n" if description else "") + f"```\n{usage}\n```\n\n"
    rows = [_row(action) for action in parser._actions if not isinstance(action, _LEFT_OUT)]
    if rows:
        text += "| argument | meaning |\n|---|---|\n" + "\n".join(rows) + "\n\n"
    return text + (_markdown(parser.epilog) if parser.epilog and head != "## forge-tui" else "")


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _positional(action: argparse.Action) -> str:
    """As in a usage line; written here because Python's own layout differs between versions."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if isinstance(action, argparse._SubParsersAction):
        return f"[{name} ...]"
    return {"?": f"[{name}]", "+": f"{name}...", "*": f"[{name}...]"}.get(str(action.nargs), name)


_LEFT_OUT = (argparse._HelpAction, argparse._SubParsersAction)


def _row(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else (action.dest.upper() if action.nargs != 0 else "")
    names = ", ".join(f"`{option} {value}`" if value else f"`{option}`" for option in action.option_strings)
    meaning = (action.help or "") % {"default": action.default}
    return f"| {names or f'`{value}`'} | {meaning.replace('|', chr(92) + '|')} |"


def _markdown(epilog: str) -> str:
    """Indented lines become a block of code, the rest are paragraphs."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in epilog.rstrip().split("\n"):
        code = line.startswith("  ")
        if not blocks or (line and blocks[-1][0] != code):
            blocks.append((code, []))
        blocks[-1][1].append(line.removeprefix("  ") if code else line)
    text = ""
    for code, lines in blocks:
        body = "\n".join(lines).rstrip()
        text += f"```\n{body}\n```\n\n" if code else f"{body}\n\n"
    return text


if __name__ == "__main__":
    sys.stdout.write(reference())
