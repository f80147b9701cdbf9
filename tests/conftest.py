"""What tests of the engine and of the app share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine draws examples, with others at work beside it, is not what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What a shell's `&` and nohup refuse is refused by every process that a test starts: Ctrl-C and hang-ups are tested.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture(scope="session")
def trained_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one really trained, finished model "tiny". Copy it: `tests.model_projects.copy_project`."""
    from tests.model_projects import train_model

    root = tmp_path_factory.mktemp("template") / "project"
    train_model(root)
    return root
