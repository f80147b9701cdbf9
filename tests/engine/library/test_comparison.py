from __future__ import annotations

import json

import pytest

from engine.errors import UsageError
from engine.library.clone import clone
from engine.library.comparison import compare
from engine.library.restoration import restore_checkpoint
from engine.project import Project
from tests.model_projects import train_model


def test_a_model_and_its_clone(project: Project) -> None:
    clone(project, "tiny", "copy")
    found = compare(project, "tiny", "copy")
    assert found.relation == "copy came from tiny."
    assert not any(row.differs for row in found.model)
    assert "same data" in found.comparable
    assert len(found.first.val_bpb) > 1 and len(found.second.val_bpb) == 0
    assert json.loads(json.dumps(found.to_dict()))["curves"]["second"]["run"] is None


def test_a_checkpoint_restored_in_one_of_them_shows_in_the_figures(project: Project) -> None:
    clone(project, "tiny", "copy")
    restore_checkpoint(project, "tiny", "32")
    figures = {figure.label: figure for figure in compare(project, "tiny", "copy").figures}
    first, second = figures["val bits/byte"].first, figures["val bits/byte"].second
    assert first is not None and second is not None and first > second
    assert (figures["steps"].first, figures["steps"].second) == (32, 48)


@pytest.mark.slow
def test_two_models_that_were_trained_otherwise(project: Project) -> None:
    train_model(project.root, "other", "train.learning_rate=0.001", "train.epochs=1", "train.seed=5")
    found = compare(project, "tiny", "other")
    training = {row.label: (row.first, row.second) for row in found.training}
    assert training["train.learning_rate"] == ("0.003", "0.001")
    assert training["train.epochs"] == ("3", "1")
    assert "model.name" not in training
    assert found.relation == "They are not related."


def test_a_model_that_is_not_there(project: Project) -> None:
    with pytest.raises(UsageError, match="no model"):
        compare(project, "tiny", "nope")
