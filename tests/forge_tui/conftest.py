"""A project, an app on it, and patience."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.project import Project
from forge_tui.app import ForgeApp
from forge_tui.settings import Settings
from tests.forge_tui.fake_run import FakeRun, make_project

SIZES = [(80, 24), (120, 40)]

MakeApp = Callable[..., ForgeApp]
Settle = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of our own: no test reads or writes the developer's settings."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a little data."""
    return make_project(tmp_path / "project")


@pytest.fixture
def live(project: Project) -> FakeRun:
    """A run that is training."""
    run = FakeRun(project).plan().hold()
    run.train(1480)
    return run


@pytest.fixture
def make_app() -> MakeApp:
    """Makes apps that remember nothing."""

    def make(project: Project | None, **options: Any) -> ForgeApp:
        options.setdefault("settings", Settings())
        return ForgeApp(project, **options)

    return make


@pytest.fixture
def settle() -> Settle:
    """Waits until background work is done and drawn."""

    async def wait(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, ForgeApp)
        quiet = 0
        for _ in range(400):
            await pilot.pause()
            quiet = quiet + 1 if not app.background.pending else 0
            if quiet >= 3:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("background work does not end")

    return wait


def screen_text(app: ForgeApp) -> str:
    """What is on the screen, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def screen_words(app: ForgeApp) -> str:
    """The same without frames and line breaks, so that wrapped sentences are whole."""
    return re.sub(r"[\s│|]+", " ", screen_text(app))


async def wait_for(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something has become true."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError("it did not become true")
