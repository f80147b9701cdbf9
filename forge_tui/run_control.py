"""What the app asks of runs: start one, go on with one, and send commands; all in the background, errors shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ForgeError, UsageError
from engine.job import Job
from engine.project import Project
from engine.runs import control
from engine.runs.control import Command, CommandName

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp


@dataclass(frozen=True, slots=True)
class Started:
    """What came of the wish to start a run."""

    run: Path
    finished: bool
    """Whether there was nothing to do: the same job is finished already."""
    text: str


def launch(project: Project, job: Job, *, force: bool = False) -> Started:
    """Prepare a run of `job` and start its host in a session of its own; takes seconds.

    Raises:
        ForgeError: it cannot start; the message says why and what to do.
    """
    from engine.runs.host import start_detached
    from engine.runs.launch import prepare

    plan = prepare(project, job, force=force)
    if plan.kind == "finished":
        return Started(plan.run, True, plan.text)
    start_detached(plan.run)
    return Started(plan.run, False, plan.text)


def start_job(app: ForgeApp, *, force: bool = False, settled: Callable[[], None]) -> None:
    """Start the job of forge.toml, watch it, and say what happened; `settled` is called either way."""
    workspace = app.workspace
    if workspace is None:
        settled()
        return
    project = workspace.project

    def done(started: Started) -> None:
        settled()
        if started.finished:
            app.notify(started.text.replace("--force trains again", "Press n to train it again"), timeout=10)
        app.follow(started.run)

    def failed(error: ForgeError) -> None:
        settled()
        app.show_error(error)

    app.background.start(lambda: launch(project, workspace.job(), force=force), done, failed, group="start")


def continue_run(app: ForgeApp, run: Path) -> None:
    """Go on with a run that has ended before its end, and watch it."""

    def work() -> Path:
        from engine.runs.host import start_detached

        start_detached(run)
        return run

    app.background.start(work, app.follow, group="start")


def send(app: ForgeApp, run: Path, name: CommandName, *, value: float | None = None, prompt: str = "") -> None:
    """Send a command to a run; its answer comes as an event."""
    command = Command(command=name, value=value, prompt=prompt)
    app.background.start(lambda: control.send(run, command))


def check_rate(text: str) -> float:
    """A learning rate as typed.

    Raises:
        UsageError: it is none.
    """
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f'"{text[:20]}" is not a number.', fix="Such as 0.0005 or 5e-4.") from None
    control.check(Command(command="set_learning_rate", value=value))
    return value


def check_prompt(text: str) -> str:
    """A prompt as typed.

    Raises:
        UsageError: it is empty.
    """
    control.check(Command(command="sample", prompt=text))
    return text
