"""What Models and the job form know in common: the job, its data, the machine, earlier runs, the models there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import UsageError
from engine.job import Job
from engine.library.catalogue import ModelEntry, list_models
from engine.model.info import read_model
from engine.project import Project
from engine.runs.state import Run, runs_of
from engine.sizes import Dimensions, dimensions_of, name_of
from forge_tui.access import app_of
from forge_tui.data_checks import checks_of
from forge_tui.forecast import Amount, Forecast, job_forecast
from forge_tui.machine_facts import Machine, known_machine, machine_of, probe_machine
from forge_tui.screens.base import ForgeScreen

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """What was read in the background."""

    models: tuple[ModelEntry, ...]
    dimensions: dict[str, Dimensions]
    """Of the models that can be read."""
    runs: tuple[Run, ...]
    """Newest first."""
    machine: dict[str, Any] | None


def look(project: Project) -> Found:
    """Read all of it; takes a moment."""
    import engine.text.tokenizer  # noqa: F401 - loads its library here, not in the app's own thread

    models = tuple(list_models(project))
    dimensions = {entry.name: read_model(entry.folder).architecture.dimensions for entry in models if entry.loadable}
    return Found(models, dimensions, tuple(runs_of(project)), known_machine(project.cache))


class PlanningScreen(ForgeScreen):
    """Keeps the facts fresh and calls `planned` when there are new ones."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Found | None = None
        self.job: Job | None = None
        self.broken: UsageError | None = None
        """Why forge.toml cannot be used."""
        self.amount: Amount | None = None
        self.machine: Machine | None = None
        self._probing = False

    def on_mount(self) -> None:
        """Take in checks as they are done."""
        self.set_interval(LOOK_SECONDS, self._look)

    def planned(self) -> None:
        """There is something new to show."""
        raise NotImplementedError

    def arrived(self) -> None:
        """Read everything again."""
        app = app_of(self)
        project = app.project
        if project is None:
            self.planned()
            return
        app.background.start(lambda: look(project), self._looked, group="planning")

    def _looked(self, found: Found) -> None:
        known = self.found.machine if self.found is not None else None
        self.found = Found(found.models, found.dimensions, found.runs, found.machine or known)
        self.plan()
        app = app_of(self)
        project = app.project
        training = any(run.alive for run in found.runs)
        if project is not None and self.found.machine is None and not self._probing and not training:
            self._probing = True
            app.background.start(lambda: probe_machine(project.cache), self._probed, group="machine")

    def _probed(self, found: dict[str, Any] | None) -> None:
        if self.found is not None:
            self.found = Found(self.found.models, self.found.dimensions, self.found.runs, found)
            self.plan()

    def _look(self) -> None:
        app = app_of(self)
        # While the app ends there may be no screen at all when this comes.
        if self.is_active and app.project is not None and checks_of(app).poll():
            self.plan()

    def plan(self) -> None:
        """Work out the amount of data anew, as forge.toml and the checks stand."""
        app = app_of(self)
        workspace = app.workspace
        if workspace is None or self.found is None:
            return
        try:
            self.job, self.broken = workspace.job(), None
        except UsageError as error:
            self.job, self.broken = None, error
        if self.job is not None:
            from forge_tui.job_data import amount_of, checks_wanted

            checks = checks_of(app)
            checks.want(*checks_wanted(workspace.project, self.job))
            own = self.entry
            vocabulary = own.vocabulary if own is not None and self.job.train.method != "build" else None
            self.amount = amount_of(workspace.project, self.job, checks, vocabulary)
            self.machine = machine_of(self.found.machine, self.job.train)
        self.planned()

    @property
    def entry(self) -> ModelEntry | None:
        """The model that the job names, if it was trained before."""
        if self.job is None or self.found is None:
            return None
        name = self.job.model.name
        return next((entry for entry in self.found.models if entry.name == name and entry.loadable), None)

    @property
    def present(self) -> Dimensions | None:
        """The dimensions of that model."""
        entry = self.entry
        return None if entry is None or self.found is None else self.found.dimensions.get(entry.name)

    @property
    def conflict(self) -> str:
        """Why the job does not fit the model that is there; empty when it does."""
        job, present = self.job, self.present
        if job is None or present is None or job.train.method == "build":
            return ""
        wanted = dimensions_of(job.model.size)
        name, size = job.model.name, name_of(present)
        if job.train.method == "train" and wanted != present:
            return f"models/{name} is {size}: it cannot go on as {name_of(wanted)}. Grow it, or name another model."
        if job.train.method == "grow" and wanted != present and not present.grows_to(wanted):
            return f"models/{name} is {size} and cannot grow to {name_of(wanted)}: nothing may shrink."
        return ""

    def forecast(self) -> Forecast | None:
        """What the job as it is would need; None while that is not known.

        Raises:
            UsageError: it cannot be.
        """
        if self.job is None or self.amount is None or self.machine is None or self.found is None:
            return None
        return job_forecast(self.job, self.amount, self.machine, self.found.runs, self.present)
