"""What tests of the engine and of the app share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one really trained, finished model "tiny". Copy it: `tests.model_projects.copy_project`."""
    from tests.model_projects import train_model

    root = tmp_path_factory.mktemp("template") / "project"
    train_model(root)
    return root
