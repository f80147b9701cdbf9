"""A project with a really trained (tiny) model, made once and copied for every test."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from engine.job_file import parse_job
from engine.project import Project
from engine.runs.digest import open_digest
from engine.runs.journal import Journal
from engine.runs.launch import prepare
from engine.runs.state import advance, read_run, write_state
from tests.engine.training.conftest import JOB, Recorder, corpus

NAME = "tiny"


def train_model(root: Path, name: str = NAME, *overrides: str) -> Path:
    """Train a model in the project at `root` as a host would; returns the run's folder."""
    import torch

    from engine.training.trainer import train_run

    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data" / "qa.txt").write_text(corpus())
    (root / "forge.toml").write_text(JOB.replace('"tiny"', f'"{name}"'))
    project = Project(root)
    job = parse_job(JOB, overrides=[f"model.name={name}", *overrides])
    run = prepare(project, job, always_new=True).run
    recorder = Recorder()
    torch.set_num_threads(1)
    train_run(run, project, recorder)  # type: ignore[arg-type]
    journal, state = Journal(run), read_run(run).state
    for event in recorder.events:
        state = advance(state, journal.append(event))
    journal.close()
    write_state(run, replace(state, model=name))
    digest, reader = open_digest(run)
    reader.close()
    digest.save(run)
    return run


def copy_project(template: Path, target: Path) -> Project:
    """An independent copy."""
    shutil.copytree(template, target, symlinks=True)
    return Project(target)
