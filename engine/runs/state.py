"""state.json: where a run stands, small enough to read for every run of a project, and what that means."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import ModelError
from engine.events import (
    Checkpoint,
    Done,
    Eval,
    Event,
    Failed,
    Plan,
    Resumed,
    Step,
    Stopped,
)
from engine.files import is_locked, write_atomic
from engine.project import NAME, Project
from engine.typed import decode_json

FILE = "state.json"
LOCK = "host.lock"
WORKER_LOCK = "worker.lock"
REQUEST = "request.json"

Phase = Literal["preparing", "training", "paused", "stopping", "stopped", "finished", "failed", "interrupted"]
"""`interrupted` is never written: it is what an unfinished state means once nobody holds the lock."""
AT_WORK: tuple[Phase, ...] = ("preparing", "training", "paused", "stopping")
"""Phases of a run that has not told its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """The last known state of a run."""

    run: str
    model: str
    phase: Phase = "preparing"
    created: float = 0.0
    """Seconds since the epoch."""
    updated: float = 0.0
    ended: float | None = None
    size: str = ""
    parameters: int = 0
    fingerprint: str = ""
    data: tuple[str, ...] = ()
    """Files as the job names them."""
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    epochs: int = 0
    tokens: int = 0
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    val_bpb: float | None = None
    best_val_bpb: float | None = None
    best_step: int | None = None
    checkpoint: str = ""
    """Newest checkpoint, relative to the run's folder."""
    checkpoint_step: int | None = None
    seconds: float = 0.0
    """Time spent in the worker, over all attempts."""
    attempts: int = 0
    """How often a worker was started."""
    worker_pid: int | None = None
    exit_code: int | None = None
    text: str = ""
    """Why it failed or stopped, in one sentence."""
    fix: str = ""
    code: str = ""
    """The code of the failure."""

    @property
    def is_final(self) -> bool:
        """Whether the same command would not go on with this run."""
        return self.phase == "finished"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder shows it."""

    folder: Path
    state: RunState
    alive: bool
    """Whether a host holds the run's lock."""

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def phase(self) -> Phase:
        """The state with death taken into account: an unfinished run that nobody holds is `interrupted`."""
        if not self.alive and self.state.phase in AT_WORK:
            return "interrupted"
        return self.state.phase

    @property
    def can_continue(self) -> bool:
        """Whether running the same command again would go on with it."""
        return not self.alive and self.phase != "finished"


def advance(state: RunState, event: Event) -> RunState:
    """The state after an event."""
    changes: dict[str, Any] = {"updated": event.time or time.time()}
    match event:
        case Plan():
            changes |= {
                "steps": event.steps,
                "epochs": event.epochs,
                "size": event.size,
                "parameters": event.parameters,
                "phase": "training",
                "eta_seconds": event.seconds,
            }
        case Step():
            changes |= {
                "step": event.step,
                "steps": event.steps,
                "epoch": event.epoch,
                "tokens": event.tokens,
                "loss": event.loss,
                "learning_rate": event.learning_rate,
                "tokens_per_second": event.tokens_per_second,
                "eta_seconds": event.eta_seconds,
            }
        case Eval():
            changes["val_bpb"] = event.val_bpb
            if event.best:
                changes |= {"best_val_bpb": event.val_bpb, "best_step": event.step}
        case Checkpoint():
            changes |= {"checkpoint": event.path, "checkpoint_step": event.step}
        case Resumed():
            changes |= {"step": event.from_step, "phase": "training"}
        case Stopped():
            changes |= {
                "phase": "stopped",
                "step": event.step,
                "exit_code": event.exit_code,
                "text": event.reason,
                "ended": changes["updated"],
                "eta_seconds": None,
            }
        case Done():
            changes |= {
                "phase": "finished",
                "exit_code": 0,
                "ended": changes["updated"],
                "eta_seconds": 0.0,
                "text": "",
                "fix": "",
                "code": "",
                "seconds": event.seconds,
            }
            if event.val_bpb is not None:
                changes |= {"best_val_bpb": event.val_bpb, "best_step": event.best_step}
        case Failed():
            changes |= {
                "phase": "failed",
                "exit_code": event.exit_code,
                "text": event.text,
                "fix": event.fix,
                "code": event.code,
                "ended": changes["updated"],
                "eta_seconds": None,
            }
    return replace(state, **changes)


def write_state(run: Path, state: RunState, *, durable: bool = False) -> None:
    """Replace the run's state.json."""
    write_atomic(run / FILE, msgspec.json.format(msgspec.json.encode(state), indent=1), durable=durable)


def read_run(run: Path) -> Run:
    """The run in a folder.

    Raises:
        ModelError: the folder is not a run, or its state.json is damaged.
    """
    try:
        state = decode_json((run / FILE).read_bytes(), RunState)
    except FileNotFoundError:
        raise ModelError("This is not the folder of a run: it has no state.json.", file=run) from None
    except (msgspec.DecodeError, OSError) as error:
        raise ModelError(f"The run's state cannot be read: {error}.", file=run / FILE) from None
    return Run(folder=run, state=replace(state, model=model_of(run) or state.model), alive=is_locked(run / LOCK))


def model_of(run: Path) -> str:
    """The name of the model that a run's folder (models/<name>/runs/<id>) lies in, which a rename may have changed.

    Empty when it lies elsewhere, as in the trash.
    """
    runs = run.absolute().parent
    return runs.parent.name if runs.name == "runs" else ""


def runs_of(project: Project, model: str | None = None) -> list[Run]:
    """All readable runs of a project (or of one model), newest first."""
    if model is not None:
        folders = [project.models / model]
    elif project.models.is_dir():
        folders = [folder for folder in project.models.iterdir() if NAME.fullmatch(folder.name)]
    else:
        folders = []
    found = []
    for folder in folders:
        for path in (folder / "runs").glob(f"*/{FILE}"):
            try:
                found.append(read_run(path.parent))
            except ModelError:
                continue
    return sorted(found, key=lambda run: (run.state.created, run.id), reverse=True)


def live_run(project: Project, model: str | None = None) -> Run | None:
    """The run whose processes are there, in a project or of one model; the newest one of several."""
    return next((run for run in runs_of(project, model) if run.alive), None)
