"""A plan without a run: the same numbers, and nothing left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from engine.errors import DataError, UsageError
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.launch import decide, prepare
from engine.runs.preview import plan_of, plan_of_decision
from engine.runs.state import RunState, write_state
from tests.engine.training.conftest import JOB, corpus


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with some data; temporary folders lie beside it."""
    (tmp_path / "p" / "data").mkdir(parents=True)
    (tmp_path / "p" / "data" / "qa.txt").write_text(corpus())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return Project(tmp_path / "p")


def leftovers(project: Project) -> list[str]:
    return [path.name for folder in (project.root, project.root.parent / "temporary") for path in folder.iterdir()
            if path.name not in ("data", ".forge")]  # fmt: skip


@pytest.mark.slow
def test_a_plan_leaves_nothing_but_the_token_cache(project: Project) -> None:
    plan = plan_of(project, parse_job(JOB, overrides=["train.learning_rate=auto"]))
    assert plan.model == "tiny" and plan.steps > 0 and plan.documents > 0
    assert isinstance(plan.job["train"]["learning_rate"], float) and plan.why["train.learning_rate"]
    assert leftovers(project) == []


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_what_it_has_settled(project: Project) -> None:
    job = parse_job(JOB, overrides=["train.learning_rate=auto"])
    launch = prepare(project, job)
    settled = JOB.replace("learning_rate = 0.003", "learning_rate = 0.0042")
    (launch.run / "job.toml").write_text(settled + '\n[why]\n"train.learning_rate" = "long ago"\n')
    write_state(launch.run, RunState(run=launch.run.name, model="tiny", phase="stopped", fingerprint=decide(
        project, job).request.fingerprint))  # fmt: skip
    decision = decide(project, job)
    assert decision.kind == "continue"
    plan = plan_of_decision(project, decision)
    assert plan.job["train"]["learning_rate"] == 0.0042 and plan.why["train.learning_rate"] == "long ago"
    assert (launch.run / "job.toml").read_text().startswith(settled)


@pytest.mark.slow
def test_what_goes_wrong_in_the_worker_keeps_its_exit_code(project: Project) -> None:
    (project.data / "qa.txt").write_text("{}\n")
    with pytest.raises(DataError):
        plan_of(project, parse_job(JOB))
    assert leftovers(project) == []


def test_what_is_wrong_before_needs_no_worker(project: Project) -> None:
    with pytest.raises(DataError, match="There is no such file"):
        plan_of(project, parse_job(JOB, overrides=["data.files=data/none.txt"]))
    with pytest.raises(UsageError, match="no model models/tiny to grow"):
        plan_of(project, parse_job(JOB, overrides=["train.method=grow"]))
    assert leftovers(project) == []
