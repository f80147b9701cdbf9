"""A run that was stopped goes on under the new name of its model, and publishes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.events import Resumed
from engine.library.catalogue import find_entry
from engine.library.names import model_names
from engine.library.rename import rename
from engine.library.trash import list_trash
from engine.runs.control import Command
from engine.runs.state import runs_of
from tests.engine.training.conftest import Recorder, TinyRun, tiny_run

__all__ = ["tiny_run"]


@pytest.mark.slow
def test_a_stopped_run_goes_on_in_the_renamed_model(tiny_run: Callable[..., TinyRun]) -> None:
    tiny = tiny_run()
    run = tiny.prepare()
    code, _ = tiny.train(run, Recorder(at_step={5: [Command(command="stop", by="test", value=130.0)]}))
    assert code == 130
    rename(tiny.project, "tiny", "better")
    renamed = TinyRun(tiny.project, replace(tiny.job, model=replace(tiny.job.model, name="better")))
    again = renamed.prepare()
    assert again.name == run.name and again.parent.parent.name == "better"
    code, recorder = renamed.train(again)
    assert code == 0 and isinstance(recorder.of(Resumed)[0], Resumed)
    assert model_names(tiny.project) == ["better"]
    entry = find_entry(tiny.project, "better")
    assert entry.loadable and entry.lineage[-1].run == run.name
    assert [found.state.model for found in runs_of(tiny.project)] == ["better"]


@pytest.mark.slow
def test_a_model_that_is_built_anew_is_kept_in_the_trash(tiny_run: Callable[..., TinyRun]) -> None:
    tiny = tiny_run("train.epochs=1")
    tiny.train(tiny.prepare())
    before = find_entry(tiny.project, "tiny").weights_sha256
    other = replace(tiny.job, train=replace(tiny.job.train, method="build", seed=7))
    anew = TinyRun(tiny.project, other)
    code, _ = anew.train(anew.prepare(force=True))
    assert code == 0 and find_entry(tiny.project, "tiny").weights_sha256 != before
    (kept,) = list_trash(tiny.project)
    assert kept.label.kind == "version" and kept.label.reason.startswith("replaced by run")
