"""What a worker finds in its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.runs.environment import SETTINGS, worker_environment


def test_our_settings_are_there_for_the_worker_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*SETTINGS, "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = dict(os.environ)
    with worker_environment():
        assert os.environ.items() >= SETTINGS.items()
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "forge-tui" / "compiled")
    assert dict(os.environ) == before


def test_what_the_user_has_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/somewhere")
    with worker_environment():
        assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/somewhere"
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
