"""What the same command means the second time; and that refusals leave nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BusyError, DataError, DiskFullError, ForgeError, ModelError, UsageError
from engine.files import FileLock
from engine.job import Job
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.launch import (
    MODEL_LOCK,
    Launch,
    abandon,
    decide,
    find_run,
    fingerprint_of,
    prepare,
    read_request,
    run_project,
)
from engine.runs.state import LOCK, Phase, read_run, runs_of, write_state
from engine.sizes import SIZES, Dimensions

DATA = "Q: What is rain?\nA: Water that falls from clouds.\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one data file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "qa.txt").write_text(DATA)
    return Project(tmp_path)


def job_of(*overrides: str) -> Job:
    return parse_job("", overrides=["model.name=m", "model.size=nano", "data.files=data/qa.txt", *overrides])


def publish(project: Project, size: str | Dimensions = "nano", name: str = "m") -> None:
    """A model as far as `prepare` looks at it: a folder that `read_model` accepts."""
    import torch
    from safetensors.torch import save_file

    from engine.model.architecture import Architecture
    from engine.model.names import hf_shapes

    dims = size if isinstance(size, Dimensions) else SIZES[size].dimensions
    architecture = Architecture.of(dims, 300, 64)
    folder = project.model(name)
    folder.mkdir(parents=True, exist_ok=True)
    import json

    (folder / "config.json").write_text(json.dumps(architecture.to_config()))
    save_file({key: torch.zeros(shape) for key, shape in hf_shapes(architecture).items()}, folder / "model.safetensors")


def mark(run: Path, phase: Phase, **changes: object) -> None:
    write_state(run, replace(read_run(run).state, phase=phase, **changes))  # type: ignore[arg-type]


def tree(project: Project) -> list[str]:
    return sorted(str(path.relative_to(project.root)) for path in project.root.rglob("*"))


# ---- new, continue, finished


def test_a_new_run_has_its_folder_and_its_request(project: Project) -> None:
    launch = prepare(project, job_of())
    assert launch.kind == "new" and launch.text == f"New run {launch.run.name} builds models/m."
    assert launch.run.parent == project.runs("m") and run_project(launch.run) == project
    assert launch.run.stat().st_mode & 0o777 == 0o700 and (launch.run / "control").stat().st_mode & 0o777 == 0o700
    request = read_request(launch.run)
    assert request.job == job_of() and list(request.data) == ["data/qa.txt"] and not request.replace
    state = read_run(launch.run).state
    assert (state.phase, state.model, state.size, state.epochs) == ("preparing", "m", "nano", 30)
    assert state.data == ("data/qa.txt",) and state.fingerprint == request.fingerprint


@pytest.mark.parametrize("phase", ["preparing", "training", "paused", "stopped", "failed"])
def test_the_same_command_continues(project: Project, phase: Phase) -> None:
    first = prepare(project, job_of())
    mark(first.run, phase, checkpoint_step=1234)
    for always_new in (False, True):
        again = prepare(project, job_of(), always_new=always_new)
        assert (again.kind, again.run) == ("continue", first.run)
        assert again.text == f"Continuing run {first.run.name} from step 1,234."
    assert prepare(project, job_of(), force=True).kind == "new"


def test_a_finished_run_is_finished(project: Project) -> None:
    first = prepare(project, job_of())
    mark(first.run, "finished")
    publish(project)
    again = prepare(project, job_of())
    assert (again.kind, again.run) == ("finished", first.run) and "--force trains again" in again.text
    assert prepare(project, job_of(), always_new=True).kind == "new"
    assert prepare(project, job_of(), force=True).kind == "new"


def test_a_finished_run_whose_model_is_gone_is_done_again(project: Project) -> None:
    mark(prepare(project, job_of()).run, "finished")
    assert prepare(project, job_of()).kind == "new"


@pytest.mark.parametrize(
    "change", [lambda job, root: job_of("train.epochs=31"), lambda job, root: job_of("train.seed=1"),
               lambda job, root: (root / "data/qa.txt").write_text(DATA * 2) and job],
)  # fmt: skip
def test_another_job_or_other_data_is_another_run(project: Project, change: Callable[[Job, Path], Job]) -> None:
    first = prepare(project, job_of())
    second = prepare(project, change(job_of(), project.root))
    assert second.kind == "new" and second.run != first.run


def test_the_fingerprint_is_of_what_the_user_controls() -> None:
    base = fingerprint_of(job_of(), {"a": "1"})
    assert (
        fingerprint_of(parse_job('[data]\nfiles=["data/qa.txt"]\n[model]\nname="m"\nsize="nano"\n'), {"a": "1"}) == base
    )
    assert fingerprint_of(job_of(), {"a": "2"}) != base
    assert fingerprint_of(job_of("model.name=other"), {"a": "1"}) == base, "a rename is no change"
    assert fingerprint_of(job_of("train.epochs=3"), {"a": "1"}) != base


def test_deciding_writes_nothing(project: Project) -> None:
    before = tree(project)
    decision = decide(project, job_of())
    assert decision.kind == "new" and decision.run is None and decision.text == "builds models/m."
    assert tree(project) == before


# ---- refusals


def refused(project: Project, kind: type[ForgeError], says: str, job: Job, **options: bool) -> None:
    before = tree(project)
    with pytest.raises(kind) as caught:
        prepare(project, job, **options)
    assert says in str(caught.value), str(caught.value)
    assert tree(project) == before


def test_data_that_is_not_there(project: Project) -> None:
    refused(project, DataError, "none.txt: There is no such file.", job_of("data.files=data/none.txt"))
    refused(project, DataError, "matches no file", job_of("data.files=data/*.csv"))
    (project.data / "empty.txt").touch()
    refused(project, DataError, "empty.txt: The file is empty.", job_of("data.files=data/empty.txt"))


def test_files_of_stages_count_too(project: Project) -> None:
    job = parse_job('[[stage]]\nname = "s"\nfiles = ["data/none.txt"]\n', overrides=["data.files=data/qa.txt"])
    refused(project, DataError, "none.txt: There is no such file.", job)


def test_a_model_in_use(project: Project) -> None:
    run = prepare(project, job_of()).run
    with FileLock(run.parent / MODEL_LOCK) as model, FileLock(run / LOCK) as lock:
        assert model.acquire() and lock.acquire()
        refused(project, BusyError, f"is being trained by run {run.name}", job_of())
        refused(project, BusyError, "is being trained", job_of("train.epochs=1"), force=True)


def test_a_run_that_has_told_its_end_is_waited_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(project, job_of()).run
    write_state(run, replace(read_run(run).state, phase="stopped", exit_code=143))
    with FileLock(run.parent / MODEL_LOCK) as model, FileLock(run / LOCK) as lock:
        assert model.acquire() and lock.acquire()
        leaving = threading.Timer(0.3, lambda: (lock.release(), model.release()))
        leaving.start()
        assert prepare(project, job_of()).kind == "continue"
        leaving.join()
    monkeypatch.setattr("engine.runs.launch.ENDING_SECONDS", 0.1)
    with FileLock(run.parent / MODEL_LOCK) as model, FileLock(run / LOCK) as lock:
        assert model.acquire() and lock.acquire()
        refused(project, BusyError, "is being trained", job_of())


def test_build_replaces_nothing_unasked(project: Project) -> None:
    publish(project)
    refused(project, UsageError, "exists and would be replaced", job_of("train.method=build"))
    launch = prepare(project, job_of("train.method=build"), force=True)
    assert "the present one goes to the trash" in launch.text and read_request(launch.run).replace


def test_another_size_than_that_of_the_model(project: Project) -> None:
    publish(project, "micro")
    refused(project, UsageError, "models/m is micro; it cannot go on as nano.", job_of())
    launch = prepare(project, job_of(), size_given=False)
    assert read_request(launch.run).job.model.size == "micro" and "continues models/m" in launch.text


def test_a_custom_size_is_kept_as_dimensions(project: Project) -> None:
    dims = Dimensions(1, 32, 1, 1, 64)
    publish(project, dims)
    assert read_request(prepare(project, job_of(), size_given=False).run).job.model.size == dims


def test_growing(project: Project) -> None:
    refused(project, UsageError, "There is no model models/m to grow.", job_of("train.method=grow"))
    publish(project, "micro")
    says = "models/m is micro and cannot grow to nano: nothing may shrink. It can grow to tiny, mini, small,"
    refused(project, UsageError, says, job_of("train.method=grow"))
    assert "grows models/m" in prepare(project, job_of("train.method=grow", "model.size=small")).text
    assert prepare(project, job_of("train.method=grow", "model.size=micro"), force=True).kind == "new"


def test_a_folder_that_is_no_model(project: Project) -> None:
    project.model("m").mkdir(parents=True)
    (project.model("m") / "holiday.jpg").touch()
    refused(project, ModelError, "holds files (holiday.jpg) but is no model", job_of())


def test_a_full_disk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runs.launch.MINIMUM_FREE_BYTES", 10**18)
    refused(project, DiskFullError, "MB are free.", job_of())


def test_a_name_that_is_not_utf8(project: Project) -> None:
    name = "caf\udce9.txt"
    (project.data / name).write_text(DATA)
    refused(project, UsageError, "whose name is not UTF-8", replace_files(job_of(), f"data/{name}"))


def replace_files(job: Job, *files: str) -> Job:
    return replace(job, data=replace(job.data, files=list(files)))


# ---- taking a run back


def test_an_abandoned_run_leaves_nothing(project: Project) -> None:
    before = tree(project)
    abandon(prepare(project, job_of()))
    assert tree(project) == sorted([*before, "models"])


def test_only_a_new_run_without_checkpoints_is_taken_back(project: Project) -> None:
    launch = prepare(project, job_of())
    abandon(Launch("continue", launch.run, ""))
    assert launch.run.exists()
    with FileLock(launch.run.parent / MODEL_LOCK) as lock:
        assert lock.acquire()
        abandon(launch)
    assert launch.run.exists(), "somebody else hosts it"
    (launch.run / "checkpoints" / "step-00000001").mkdir()
    abandon(launch)
    assert launch.run.exists()


def test_other_runs_and_the_model_stay(project: Project) -> None:
    publish(project)
    kept = prepare(project, job_of()).run
    abandon(prepare(project, job_of("train.epochs=2")))
    assert [run.folder for run in runs_of(project)] == [kept] and (project.model("m") / "config.json").exists()


# ---- finding


def test_runs_are_found_by_id_beginning_model_and_life(project: Project) -> None:
    with pytest.raises(UsageError, match="no runs yet"):
        find_run(project, None)
    first = prepare(project, job_of()).run
    mark(first, "finished", created=1.0)
    second = prepare(project, job_of("model.name=other")).run
    assert find_run(project, None).folder == second, "the newest"
    with FileLock(first / LOCK) as lock:
        assert lock.acquire()
        assert find_run(project, None).folder == first, "the one that lives"
    assert find_run(project, first.name).folder == first
    assert find_run(project, "m").folder == first and find_run(project, "other").folder == second
    unique = next(first.name[:end] for end in range(1, 30) if not second.name.startswith(first.name[:end]))
    assert find_run(project, unique).folder == first
    with pytest.raises(UsageError, match=r'Several runs begin with "20"\. Runs: '):
        find_run(project, "20")
    with pytest.raises(UsageError, match='No run begins with "x"'):
        find_run(project, "x")


def test_a_damaged_request_is_named(project: Project) -> None:
    run = prepare(project, job_of()).run
    for content in (b"", b"{}", b"\xff"):
        (run / "request.json").write_bytes(content)
        with pytest.raises(ModelError, match="The run's request cannot be read"):
            read_request(run)
