"""After all other tests of the app: every key of the registry was pressed by some of them, at both sizes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forge_tui.keys import KEYS
from tests.forge_tui.conftest import PRESSED, SIZES


def test_every_key_was_pressed_at_both_sizes(request: pytest.FixtureRequest) -> None:
    collected = {Path(item.fspath) for item in request.session.items}
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("the keys are counted in one process: run tests/forge_tui with -n 0")
    if request.config.option.keyword or not set(Path(__file__).parent.glob("test_*.py")) <= collected:
        pytest.skip("only some of the tests are run")
    widths = {width for width, _ in SIZES}
    missing = {key.id: sorted(widths - PRESSED.get(key.id, set())) for key in KEYS}
    assert not {identity: at for identity, at in missing.items() if at}
