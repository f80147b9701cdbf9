from __future__ import annotations

import shutil

import pytest

from engine.errors import UsageError
from engine.files import FileLock
from engine.library.checkpoints import list_checkpoints
from engine.library.voices import PUBLISHED, voice_of
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import LOCK, runs_of, write_state


def test_a_finished_model_speaks_itself(project: Project) -> None:
    voice = voice_of(project, "Tiny")
    assert (voice.folder, voice.step, voice.live, voice.converses) == (project.models / "tiny", None, False, True)


def test_a_checkpoint_speaks_when_it_is_named(project: Project) -> None:
    assert voice_of(project, "tiny", "32").step == 32
    assert voice_of(project, "tiny", "best").step == 48
    with pytest.raises(UsageError):
        voice_of(project, "tiny", "7")


def test_while_a_run_trains_its_newest_checkpoint_speaks(project: Project) -> None:
    (run,) = runs_of(project)
    from dataclasses import replace

    write_state(run.folder, replace(run.state, phase="training"))
    with FileLock(run.folder / LOCK) as lock, FileLock(run.folder.parent / MODEL_LOCK) as other:
        assert lock.acquire() and other.acquire()
        voice = voice_of(project, "tiny")
        assert (voice.step, voice.run, voice.live) == (48, run.id, True)
        assert voice_of(project, "tiny", PUBLISHED).step is None
        for checkpoint in list_checkpoints(project, "tiny"):
            shutil.rmtree(checkpoint.path)
        assert voice_of(project, "tiny").folder == project.models / "tiny"


def test_a_model_without_anything_to_say_says_what_to_do(project: Project) -> None:
    shutil.move(project.models / "tiny" / "runs", project.root / "away")
    (project.models / "young").mkdir()
    shutil.move(project.root / "away", project.models / "young" / "runs")
    assert voice_of(project, "young").step == 48
    for checkpoint in list_checkpoints(project, "young"):
        shutil.rmtree(checkpoint.path)
    with pytest.raises(UsageError, match="nothing to say yet"):
        voice_of(project, "young")
    with pytest.raises(UsageError, match="not published"):
        voice_of(project, "young", PUBLISHED)
