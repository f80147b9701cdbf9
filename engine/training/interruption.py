"""Orders that come before the first step: only leaving is possible then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import Control
from engine.exit_codes import ExitCode
from engine.runs.control import Command

if TYPE_CHECKING:
    from engine.runs.channel import Reporter


class Interrupted(Exception):
    """The run is to be left before it has begun to train."""

    def __init__(self, command: Command) -> None:
        super().__init__(command.command)
        self.command = command


def heed(reporter: Reporter) -> None:
    """Look at the orders that have come in; all but leaving are refused.

    Raises:
        Interrupted: somebody wants to stop, or the host has died.
    """
    if reporter.orphaned.is_set():
        raise Interrupted(Command(command="stop", by="the host has died", value=float(ExitCode.FAILED)))
    for command in reporter.commands():
        if command.command in ("stop", "stop_now"):
            raise Interrupted(command)
        text = "The run has not begun to train yet."
        reporter(Control(command=command.command, by=command.by, id=command.id, accepted=False, text=text))
