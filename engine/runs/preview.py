"""What a run would do, every "auto" resolved, without a trace in the project but its token cache."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.errors import ForgeError, error_of
from engine.events import Event, Failed, Plan
from engine.job import Job
from engine.project import Project
from engine.runs import death
from engine.runs.launch import Decision, decide, write_request
from engine.runs.process import start_worker
from engine.runs.worker import WorkerOptions

SETTLED = ("job.toml", "tokenizer")
"""What a run that goes on has decided already."""


def plan_of(project: Project, job: Job, *, force: bool = False, size_given: bool = True) -> Plan:
    """The plan of a job; takes seconds, as the data are read.

    Raises:
        ForgeError: what `launch.prepare` or the start of training would raise, with the same exit code.
    """
    return plan_of_decision(project, decide(project, job, force=force, size_given=size_given))


def plan_of_decision(project: Project, decision: Decision, sink: Callable[[Event], None] | None = None) -> Plan:
    """The plan of what was decided; `sink` hears what the worker says on the way.

    Raises:
        ForgeError: the start of training would fail, with the same exit code.
    """
    with tempfile.TemporaryDirectory(prefix="forge-plan-") as folder:
        run = Path(folder)
        write_request(run, decision.request)
        if decision.run is not None:
            _copy_settled(decision.run, run)
        return _ask(project, run, sink or (lambda event: None))


def _copy_settled(source: Path, target: Path) -> None:
    for name in SETTLED:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).is_file():
            shutil.copy(source / name, target / name)


def _ask(project: Project, run: Path, sink: Callable[[Event], None]) -> Plan:
    found: list[Plan | Failed] = []

    def handle(event: Event) -> None:
        if isinstance(event, Plan | Failed):
            found.append(event)
        else:
            sink(event)

    kills = death.memory_kills()
    started = start_worker(WorkerOptions(run=str(run), project=str(project.root), plan_only=True))
    try:
        while started.process.is_alive():
            if (event := started.receiver.get(0.1)) is not None:
                handle(event)
        started.receiver.drain(handle)
    finally:
        started.process.kill()
        started.process.join()
        started.commands.close()
    for event in found:
        if isinstance(event, Failed):
            raise error_of(event.code, event.text, event.fix, event.exit_code)
        return event
    cause = death.diagnose(started.process.exitcode, kills, death.memory_kills())
    raise ForgeError(cause.text)
