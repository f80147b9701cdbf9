"""What the same command means the second time: continue, nothing to do, or a new run."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.errors import BusyError, DiskFullError, ModelError, UsageError
from engine.files import FileLock, is_locked, os_error, sha256_of, write_atomic
from engine.job import Job
from engine.job_file import to_table
from engine.project import MODEL_LOCK as MODEL_LOCK
from engine.project import Project, check_name
from engine.runs.state import AT_WORK, REQUEST, Run, RunState, live_run, model_of, runs_of, write_state
from engine.sizes import LADDER, Dimensions, dimensions_of, name_of
from engine.typed import decode_json

MINIMUM_FREE_BYTES = 64_000_000
ENDING_SECONDS = 15.0
"""How long a run that has told its end may take until its processes have left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """request.json: what the user asked for, before anything was decided."""

    job: Job
    fingerprint: str
    data: dict[str, str]
    """Path relative to the project and sha256 of each data file."""
    replace: bool = False
    """Whether the published model is replaced by one built from scratch (the old one goes to the trash)."""
    created: float = 0.0
    force: bool = False
    """Whether to go on past errors in the data that lose no text."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that is ready to be hosted, or the reason why none is needed."""

    kind: Literal["new", "continue", "finished"]
    run: Path
    text: str
    """One sentence for the user."""


def fingerprint_of(job: Job, data: dict[str, str]) -> str:
    """Hash of everything the user controls but the model's name: the job and the content of its files."""
    table = to_table(job)
    del table["model"]["name"]  # a run belongs to the model that it lies in, also after a rename
    body = msgspec.json.encode({"job": table, "data": data}, order="sorted")
    return hashlib.sha256(body).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command means, before anything is written."""

    kind: Literal["new", "continue", "finished"]
    run: Path | None
    """The run to continue, or the finished one; None for a new one."""
    request: Request
    """What a new run is asked to do."""
    text: str
    """One sentence for the user."""


def prepare(
    project: Project, job: Job, *, force: bool = False, size_given: bool = True, always_new: bool = False
) -> Launch:
    """Decide between continuing, refusing, having finished already, and a new run; creates the new run's folder.

    Args:
        project: Where everything is.
        job: As asked for.
        force: Start over, whatever was there.
        size_given: False when the user named no size, so that an existing model keeps its own.
        always_new: The verbs `build` and `train`: a finished run does not count as done.

    Raises:
        DataError: a data file is missing or cannot be used.
        UsageError: the job does not fit the model that is there.
        BusyError: another run holds the model.
        DiskFullError: hardly any space is left.
    """
    decision = decide(project, job, force=force, size_given=size_given, always_new=always_new)
    if decision.run is not None:
        return Launch(decision.kind, decision.run, decision.text)
    name = decision.request.job.model.name
    _check_space(project, project.model(name))
    lock = FileLock(project.runs(name) / MODEL_LOCK)
    if not lock.acquire():
        raise _busy(project, name)
    with lock:  # two equal commands at the same moment: the second finds the run of the first
        earlier = None if force else _earlier(project, decision.request, always_new=always_new)
        if earlier is not None and earlier.run is not None:
            return Launch(earlier.kind, earlier.run, earlier.text)
        run = _create(project, decision.request)
    return Launch("new", run, f"New run {run.name} {decision.text}")


def decide(
    project: Project, job: Job, *, force: bool = False, size_given: bool = True, always_new: bool = False
) -> Decision:
    """What `prepare` would do; writes nothing. Arguments and errors as there."""
    try:
        name = check_name(job.model.name)
        data = _digests(project, job)
        published = _published(project.model(name))
        job = _with_size_of(job, published, size_given=size_given)
        request = Request(
            job=job, fingerprint=fingerprint_of(job, data), data=data, created=time.time(),
            replace=bool(published) and job.train.method == "build", force=force,
        )  # fmt: skip
    except UnicodeEncodeError:
        raise UsageError("The job names a file whose name is not UTF-8.", fix="Rename the file.") from None
    if _is_held(project, name):
        raise _busy(project, name)
    if not force and (earlier := _earlier(project, request, always_new=always_new)):
        return earlier
    method = job.train.method
    if method == "build" and published and not force:
        raise UsageError(
            f"models/{name} exists and would be replaced.",
            fix="Add --force to replace it (the old one goes to the trash), choose another --name, "
            'or continue it with `forge-tui train` (method = "train").',
        )
    if method == "grow":
        if not published:
            raise UsageError(f"There is no model models/{name} to grow.", fix="Train it first, or name another one.")
        check_growth(name, published.architecture.dimensions, dimensions_of(job.model.size))
    verb = {"build": "builds", "train": "continues" if published else "builds", "grow": "grows"}[method]
    over = " (the present one goes to the trash)" if request.replace else ""
    return Decision("new", None, request, f"{verb} models/{name}{over}.")


def abandon(launch: Launch) -> None:
    """Take a new run back that never came to train, so that nothing is left of it.

    A run that was there before, or that has written a checkpoint, stays.
    """
    run, runs = launch.run, launch.run.parent
    if launch.kind != "new" or any((run / "checkpoints").glob("*")):
        return
    lock = FileLock(runs / MODEL_LOCK)
    if not lock.acquire():
        return
    with lock:
        shutil.rmtree(run, ignore_errors=True)
        if [path.name for path in runs.iterdir()] == [MODEL_LOCK]:
            lock.path.unlink()
            runs.rmdir()
            if not any(runs.parent.iterdir()):
                runs.parent.rmdir()


def _digests(project: Project, job: Job) -> dict[str, str]:
    """sha256 of every data file by its path in the project.

    Raises:
        DataError: one cannot be opened, or is plainly no data.
    """
    from engine.text.formats import expand, sniff

    data: dict[str, str] = {}
    for entry in job.all_files:
        for path in expand([entry.path], project.root):
            name = project.relative(path)
            if name not in data:
                sniff(path)
                data[name] = sha256_of(path)
    return data


def check_growth(name: str, present: Dimensions, wanted: Dimensions) -> None:
    """Refuse a growth that is none.

    Raises:
        UsageError: something would shrink; names the sizes that it can grow to.
    """
    if present == wanted or present.grows_to(wanted):
        return
    larger = [size.name for size in LADDER if present.grows_to(size.dimensions)]
    raise UsageError(
        f"models/{name} is {name_of(present)} and cannot grow to {name_of(wanted)}: nothing may shrink.",
        fix=f"It can grow to {', '.join(larger)}." if larger else "There is no larger size.",
    )


def _is_held(project: Project, name: str) -> bool:
    """Whether a run is at work on a model; one that has told its end is waited for while it puts its things away.

    A script that hears of the end and gives the next command at once must not be told that the run goes on.
    """
    began = time.monotonic()
    while is_locked(project.runs(name) / MODEL_LOCK):
        holder = live_run(project, name)
        patience = ENDING_SECONDS if holder else 0.5  # nobody: it has just let go of the one lock, not of the other
        if (holder and holder.phase in AT_WORK) or time.monotonic() - began > patience:
            return True
        time.sleep(0.05)
    return False


def _busy(project: Project, name: str) -> BusyError:
    holder = live_run(project, name)
    return BusyError(
        f"models/{name} is being trained by run {holder.id if holder else '(starting)'}.",
        fix="Follow it with `forge-tui attach`, or stop it with `forge-tui stop`.",
    )


def _earlier(project: Project, request: Request, *, always_new: bool) -> Decision | None:
    """The latest run when the same job needs no new one."""
    name = request.job.model.name
    latest = next(iter(runs_of(project, name)), None)
    if latest is None or latest.state.fingerprint != request.fingerprint:
        return None
    if latest.phase != "finished":
        at = f" from step {latest.state.checkpoint_step:,}" if latest.state.checkpoint_step else ""
        return Decision("continue", latest.folder, request, f"Continuing run {latest.id}{at}.")
    if always_new or _published(project.model(name)) is None:
        return None
    text = f"models/{name} is finished: run {latest.id} had the same job and data. --force trains again."
    return Decision("finished", latest.folder, request, text)


def _published(folder: Path) -> Any:
    """Architecture of the published model, or None when there is none.

    Raises:
        ModelError: there is a model that we cannot read.
    """
    if not os.path.lexists(folder / "config.json"):
        stray = [p.name for p in folder.iterdir() if p.name not in ("runs",)] if folder.is_dir() else []
        stray = [name for name in stray if not name.startswith(".")]
        if stray:
            raise ModelError(
                f"This folder holds files ({stray[0][:40]}) but is no model: it has no config.json.",
                file=folder,
                fix="Move it away or choose another name.",
            )
        return None
    from engine.model.info import read_model

    return read_model(folder)


def _with_size_of(job: Job, published: Any, *, size_given: bool) -> Job:
    """The job with the size of the model it continues.

    Raises:
        UsageError: another size was asked for.
    """
    if job.train.method != "train" or published is None:
        return job
    present = published.architecture.dimensions
    if present == dimensions_of(job.model.size):
        return job
    if size_given:
        label = job.model.size if isinstance(job.model.size, str) else "of other dimensions"
        raise UsageError(
            f"models/{job.model.name} is {name_of(present)}; it cannot go on as {label}.",
            fix='Grow it (method = "grow", or `forge-tui grow`), build a new one (--force), or choose another name.',
        )
    name = name_of(present)
    return replace(job, model=replace(job.model, size=present if name == "custom" else name))


def _check_space(project: Project, folder: Path) -> None:
    """Refuse to begin on a full disk; makes the folder of the model's runs."""
    place = next(path for path in (project.models, *project.models.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < MINIMUM_FREE_BYTES:
        raise DiskFullError(
            f"Only {free / 1e6:.0f} MB are free.", file=project.models, fix="Free some space, then run it again."
        )
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error(error, folder) from error


def _create(project: Project, request: Request) -> Path:
    job, now = request.job, request.created
    run = project.runs(job.model.name) / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(2)}"
    size = job.model.size if isinstance(job.model.size, str) else "custom"
    state = RunState(
        run=run.name, model=job.model.name, created=now, updated=now, fingerprint=request.fingerprint, size=size,
        data=tuple(request.data), epochs=_epochs(job),
    )  # fmt: skip
    try:
        run.mkdir(mode=0o700)
        (run / "control").mkdir(mode=0o700)
        (run / "checkpoints").mkdir()
    except OSError as error:
        raise os_error(error, run) from error
    write_request(run, request)
    write_state(run, state, durable=True)
    return run


def _epochs(job: Job) -> int:
    """As far as they are known before the plan."""
    return (0 if job.train.epochs == "auto" else job.train.epochs) + sum(stage.epochs for stage in job.stage)


def write_request(run: Path, request: Request) -> None:
    """Write a run's request.json."""
    write_atomic(run / REQUEST, msgspec.json.format(msgspec.json.encode(request), indent=1))


def read_request(run: Path) -> Request:
    """The request of a run; it names the model that the run lies in, also after a rename.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        request = decode_json((run / REQUEST).read_bytes(), Request)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"The run's request cannot be read: {error}.", file=run / REQUEST) from None
    model = replace(request.job.model, name=model_of(run) or request.job.model.name)
    return replace(request, job=replace(request.job, model=model))


def run_project(run: Path) -> Project:
    """The project that a run's folder lies in (models/<name>/runs/<id>)."""
    return Project(run.resolve().parents[3])


def find_run(project: Project, name: str | None) -> Run:
    """A run by id, by a unique beginning of it, or by its model's name; without a name the live or newest one.

    Raises:
        UsageError: there is none, or several fit.
    """
    runs = runs_of(project)
    if not runs:
        raise UsageError("This project has no runs yet.", fix="Start one with `forge-tui --batch forge.toml`.")
    if name is None:
        return next((run for run in runs if run.alive), runs[0])
    exact = [run for run in runs if run.id == name] or [run for run in runs if run.state.model == name][:1]
    found = exact or [run for run in runs if run.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(run.id for run in (found or runs)[:5])
    raise UsageError(f'{"Several runs begin" if found else "No run begins"} with "{name[:60]}".', fix=f"Runs: {shown}.")
