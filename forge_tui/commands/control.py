"""`stop`, `pause`, `resume`, `save`, `set` and `sample`: commands to a run, and what came of them."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

from engine.errors import ForgeError, UsageError
from engine.events import Control, Done, Event, Failed, Sample, Stopped
from engine.exit_codes import ExitCode
from engine.runs.control import Command, CommandName, check, send
from engine.runs.launch import find_run
from engine.runs.state import Run, read_run, runs_of
from forge_tui.commands.here import current_project
from forge_tui.following import follow, last_seq
from forge_tui.printing import put, say

PATIENCE_SECONDS = 2.0
"""After this long without an answer we say that we wait for one."""

RUN_HELP = "id, its beginning, or a model (default: the one that is running)"


EPILOGS = {
    "stop": """\
The step is finished and saved; the command that started the run continues it. Waits until the run is gone.

  forge-tui stop
  forge-tui stop sacrifice --now
""",
    "pause": """\
The cores are free while it rests; its memory stays in use.

  forge-tui pause
""",
    "resume": "  forge-tui resume\n",
    "save": "  forge-tui save\n",
    "set": """\
The schedule goes on from the new rate; a resumed run keeps it.

  forge-tui set sacrifice learning_rate 0.0005
""",
    "sample": """\
Prints the answer of the weights as they are now.

  forge-tui sample sacrifice "What is Python?"
""",
}
"""What --help adds for each verb."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of one of the verbs."""
    verb = parser.get_default("command")
    parser.epilog = EPILOGS[verb]
    if verb in ("set", "sample"):
        parser.add_argument("run", metavar="RUN", help="id, its beginning, or a model")
    else:
        parser.add_argument("run", metavar="RUN", nargs="?", help=RUN_HELP)
    if verb == "stop":
        parser.add_argument(
            "--now", action="store_true", help="without saving: what came after the last checkpoint is lost"
        )
    elif verb == "set":
        parser.add_argument("key", metavar="learning_rate", choices=["learning_rate"], help="what to change")
        parser.add_argument("value", metavar="X", help="the rate from now on; the schedule goes on from there")
    elif verb == "sample":
        parser.add_argument("prompt", metavar="PROMPT", help="what to answer")


def run(args: argparse.Namespace) -> int:
    """Send the command, wait for what the run says to it, and print that."""
    command = check(_command(args))
    found = _running(args.run)
    after = last_seq(found.folder)
    sent = send(found.folder, command)
    exchange = _Exchange(sent)
    began = time.monotonic()
    told = False
    try:
        for event in follow(found.folder, after=after):
            if event is not None:
                exchange.take(event)
            elif not told and not exchange.answered and time.monotonic() - began > PATIENCE_SECONDS:
                say("Waiting for the end of the present step. Ctrl-C only stops the waiting.")
                told = True
            if exchange.is_complete:
                break
    except KeyboardInterrupt:
        say("The command stays with the run.")
        return int(ExitCode.INTERRUPTED)
    return exchange.result(found)


def _command(args: argparse.Namespace) -> Command:
    match args.command:
        case "set":
            try:
                return Command(command="set_learning_rate", value=float(args.value))
            except ValueError:
                raise UsageError(f'"{args.value[:20]}" is not a number.', fix="Such as 0.0005 or 5e-4.") from None
        case "sample":
            return Command(command="sample", prompt=args.prompt)
        case "stop":
            return Command(command="stop_now" if args.now else "stop")
    name: CommandName = args.command
    return Command(command=name)


def _running(name: str | None) -> Run:
    """The run that is meant, alive.

    Raises:
        ForgeError: it is not running; says what it is.
    """
    project = current_project()
    if name is None:
        alive = [run for run in runs_of(project) if run.alive]
        if len(alive) > 1:
            shown = ", ".join(run.id for run in alive[:5])
            raise UsageError(f"{len(alive)} runs are running.", fix=f"Name one: {shown}.")
        if not alive:
            raise ForgeError("No run is running in this project.", fix="`forge-tui runs` lists them.")
        return alive[0]
    found = find_run(project, name)
    if not found.alive:
        fix = "" if found.phase == "finished" else "The command that started it continues it."
        raise ForgeError(f"{found.id} is not running: it is {found.phase}.", fix=fix)
    return found


@dataclass
class _Exchange:
    """One command, and what the run says to it."""

    sent: Command
    answered: Control | None = None
    sample: Sample | None = None
    ended: Event | None = field(default=None)

    def take(self, event: Event) -> None:
        """Notice what concerns us."""
        match event:
            case Control() if event.id == self.sent.id:
                self.answered = event
            case Sample() if self.answered and event.by == self.sent.by and event.prompt == self.sent.prompt[:500]:
                self.sample = event
            case Done() | Stopped() | Failed():
                self.ended = event

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to be waited for; a stop is complete when the run is gone."""
        if self.answered is None or self.sent.command in ("stop", "stop_now"):
            return self.answered is not None and not self.answered.accepted
        return not self.answered.accepted or self.sent.command != "sample" or self.sample is not None

    def result(self, run: Run) -> int:
        """Print what came of it; returns the exit code.

        Raises:
            ForgeError: the run refused, or ended first.
        """
        answer = self.answered
        if answer is not None and not answer.accepted:
            raise ForgeError(f"{run.id} refused: {answer.text}")
        stops = self.sent.command in ("stop", "stop_now")
        if answer is None and not (stops and self.ended):
            raise ForgeError(f"{run.id} ended before it could answer: it is {read_run(run.folder).phase}.")
        if self.sent.command == "sample":
            if self.sample is None:
                raise ForgeError(f"{run.id} ended before it could answer.")
            put(self.sample.text)
            return int(ExitCode.DONE)
        if isinstance(self.ended, Stopped):
            put(f"{run.id} stopped at step {self.ended.step:,}. The command that started it continues it.")
        elif stops:
            put(f"{run.id} has ended: it is {read_run(run.folder).phase}.")
        elif answer is not None:
            put(answer.text)
        return int(ExitCode.DONE)
