"""A project, an app on it, and patience."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual._context import active_app
from textual.app import App
from textual.pilot import Pilot

from engine.project import Project
from forge_tui.app import ForgeApp
from forge_tui.settings import Settings
from tests.forge_tui.fake_run import FakeRun, make_project

SIZES = [(80, 24), (120, 40)]

PATIENCE = 60.0
"""Seconds that anything may take on a machine that does other things as well."""

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


@pytest.fixture(autouse=True)
def keys_are_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a key, wait until every message is handled and drawn.

    Textual waits until the process takes little processor time instead: slow where there is much to do, and too short
    where other programs keep the processor from us.
    """
    monkeypatch.setattr("textual.app.wait_for_idle", _idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", _idle)


PRESSED: dict[str, set[int]] = {}
"""Id of a key to the widths of the terminals on which some test has pressed it."""


@pytest.fixture(autouse=True)
def keys_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Note which keys of the registry the tests have pressed, and on which terminals."""
    run_action = App.run_action

    async def noted(self: App[Any], action: Any, default_namespace: Any = None, namespaces: Any = None) -> bool:
        done = await run_action(self, action, default_namespace, namespaces)
        bound = getattr(default_namespace or self, "_bindings", None)
        for bindings in bound.key_to_bindings.values() if done and bound is not None else ():
            for binding in bindings:
                if binding.action == action and binding.id:
                    PRESSED.setdefault(binding.id, set()).add(self.size.width)
        return done

    monkeypatch.setattr(App, "run_action", noted)


async def _idle(min_sleep: float = 0.0, max_sleep: float = 0.0) -> None:
    app = active_app.get()
    deadline = time.monotonic() + PATIENCE
    while app.is_running and not app._exit and time.monotonic() < deadline:
        await asyncio.sleep(0)
        await Pilot(app)._wait_for_screen()
        if not app.is_running or app._exit:
            return
        if not app.screen_stack:
            continue  # between two screens
        app.screen._on_timer_update()
        if _is_still(app):
            return


def _is_still(app: App[Any]) -> bool:
    screen = app.screen
    pumps = [app, *screen.walk_children(with_self=True)]
    return not (
        any(not pump._message_queue.empty() or pump._next_callbacks for pump in pumps)
        or any(not pump._mounted_event.is_set() for pump in pumps)
        or screen._callbacks or screen._layout_required or screen._dirty_widgets
        or screen._compositor.size != app.size  # it has not been laid out at all, or not since a resize
    )  # fmt: skip


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
        deadline = time.monotonic() + PATIENCE
        quiet = 0
        while quiet < 2:
            assert time.monotonic() < deadline, "background work does not end"
            await pilot.pause()
            quiet = quiet + 1 if not app.background.pending else 0
            if not quiet:
                await asyncio.sleep(0.005)

    return wait


def screen_text(app: ForgeApp) -> str:
    """What is on the screen, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def screen_words(app: ForgeApp) -> str:
    """The same without frames and line breaks, so that wrapped sentences are whole."""
    return re.sub(r"[\s│|]+", " ", screen_text(app))


def dialog_words(app: ForgeApp) -> str:
    """The words in the dialog, without those that show at its sides."""
    region = app.screen.query_one(".dialog").region
    rows = screen_text(app).split("\n")[region.y : region.bottom]
    return re.sub(r"[\s│|]+", " ", " ".join(row[region.x : region.right] for row in rows))


async def wait_for(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something has become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        await pilot.pause(0.01)
