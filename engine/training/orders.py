"""Orders to a running trainer: pause, save, sample, another learning rate, stop; each is acknowledged by an event."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.events import Control
from engine.exit_codes import ExitCode
from engine.runs.control import Command

if TYPE_CHECKING:
    from engine.training.trainer import Trainer

POLL_SECONDS = 0.1


class Orders:
    """Carries out commands between two steps."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._paused = False

    def obey(self) -> Command | None:
        """Carry out the commands that have come in, waiting while paused; returns a command to stop."""
        report = self._trainer.report
        while True:
            if report.orphaned.is_set():
                return Command(command="stop", by="the host has died", value=float(ExitCode.FAILED))
            for command in report.commands():
                if command.command in ("stop", "stop_now"):
                    self._acknowledge(command, "Finishing: saving, then leaving.")
                    return command
                self._carry_out(command)
            if not self._paused:
                return None
            time.sleep(POLL_SECONDS)

    def _carry_out(self, command: Command) -> None:
        match command.command:
            case "pause":
                self._pause(command)
            case "resume":
                self._resume(command)
            case "save":
                self._save(command)
            case "set_learning_rate":
                self._change_rate(command)
            case "sample":
                self._acknowledge(command, "Answering.")
                self._trainer.sample([command.prompt], by=command.by)
            case _:
                self._refuse(command, "This command is not known here.")

    def _pause(self, command: Command) -> None:
        if self._paused:
            self._refuse(command, "The run is paused already.")
            return
        saved = self._trainer.keeper.save(self._trainer, "pause")
        self._paused = True
        what = "Paused and saved" if saved else "Paused (but not saved: no space)"
        self._acknowledge(command, f"{what}: the cores are free, the memory stays in use.")

    def _resume(self, command: Command) -> None:
        if not self._paused:
            self._refuse(command, "The run is not paused.")
            return
        self._paused = False
        self._trainer.pace.restart()
        self._acknowledge(command, "Going on.")

    def _save(self, command: Command) -> None:
        trainer = self._trainer
        if trainer.keeper.save(trainer, "signal" if command.by.startswith("SIG") else "command"):
            self._acknowledge(command, f"Saved step {trainer.progress.step:,}.")
        else:
            self._refuse(command, "The checkpoint could not be written.")

    def _change_rate(self, command: Command) -> None:
        trainer = self._trainer
        if command.value is None:
            self._refuse(command, "There is no learning rate in the command.")
            return
        step = trainer.progress.step
        warming_up = trainer.course.is_warming_up(step)
        scheduled = trainer.course.peak(step) if warming_up else trainer.course.learning_rate(step)
        trainer.progress.rate_scale = command.value / scheduled
        # A change by hand is part of the run from now on: a resume must know it.
        trainer.keeper.save(trainer, "command")
        when = "at the end of the warm-up" if warming_up else "now"
        self._acknowledge(
            command, f"The learning rate is {command.value:g} {when} and follows the schedule from there."
        )

    def _acknowledge(self, command: Command, text: str) -> None:
        self._trainer.report(Control(command=command.command, by=command.by, id=command.id, text=text))

    def _refuse(self, command: Command, reason: str) -> None:
        self._trainer.report(
            Control(command=command.command, by=command.by, id=command.id, accepted=False, text=reason)
        )
