"""A trained model to work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.project import Project
from tests.model_projects import copy_project


@pytest.fixture
def project(trained_template: Path, tmp_path: Path) -> Project:
    """A project with the finished model "tiny"."""
    return copy_project(trained_template, tmp_path / "project")
