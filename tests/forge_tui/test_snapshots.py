"""The screens as they look, letter by letter: a change of layout shows up as a diff.

After a wanted change: `FORGE_SNAPSHOTS=write pytest tests/forge_tui/test_snapshots.py`, and read the diff.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.project import Project
from forge_tui.terminal import Capabilities
from tests.forge_tui.conftest import MakeApp, Settle, screen_text
from tests.forge_tui.fake_run import FakeRun, make_project

FOLDER = Path(__file__).parent / "snapshots"
NOW = 1_763_812_800.0
"""22 November 2025, noon UTC."""


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture
def world(tmp_path: Path) -> tuple[Project, FakeRun]:
    """A project with one run of each kind, the last one live."""
    project = make_project(tmp_path / "project")
    FakeRun(project, model="oldone", name="20251120-101010-aa00", size="nano", created=NOW - 200_000).plan().train(
        3700, every=20
    ).done()
    FakeRun(project, model="halted", name="20251121-101010-aa01", created=NOW - 90_000).plan().train(900).stopped()
    FakeRun(project, model="gone", name="20251121-111010-aa02", size="tiny", created=NOW - 80_000).plan().train(700)
    failed = FakeRun(project, model="big", name="20251121-121010-aa03", size="small", created=NOW - 70_000)
    fix = 'Use size = "mini", or sequence_length = 256.'
    failed.plan().train(300).fail("out_of_memory", "The smallest step needs 5.1 GB, 3.8 are free.", fix, 5)
    live = FakeRun(project, name="20251122-115000-ab12", created=NOW - 230).plan().hold()
    live.train(1480)
    live.advise()
    return project, live


PICTURES: dict[str, tuple[tuple[int, int], list[str], str, bool]] = {
    "train-80x24": ((80, 24), [], "sacrifice", False),
    "train-120x40": ((120, 40), [], "sacrifice", False),
    "train-60x16": ((60, 16), [], "sacrifice", False),
    "train-ascii": ((80, 24), [], "sacrifice", True),
    "train-samples": ((80, 24), ["v"], "sacrifice", False),
    "train-plan": ((80, 24), ["v", "v"], "sacrifice", False),
    "train-zoomed": ((80, 24), ["z", "z", "y"], "sacrifice", False),
    "train-finished": ((80, 24), [], "oldone", False),
    "train-out-of-memory": ((80, 24), [], "big", False),
    "train-interrupted": ((80, 24), [], "gone", False),
    "train-stop-now": ((80, 24), ["S"], "sacrifice", False),
    "train-rate": ((80, 24), ["r"], "sacrifice", False),
    "train-overlay": ((80, 24), ["o"], "sacrifice", False),
    "train-advice": ((80, 24), ["F"], "sacrifice", False),
    "help": ((80, 24), ["question_mark"], "sacrifice", False),
    "runs-80x24": ((80, 24), ["6"], "sacrifice", False),
    "runs-120x40": ((120, 40), ["6", "j", "j"], "sacrifice", False),
    "runs-60x16": ((60, 16), ["6"], "sacrifice", False),
}
"""Name to size, keys, watched model, and whether in ASCII."""


def compare(name: str, text: str) -> None:
    """Compare with the stored picture, or store it."""
    path = FOLDER / f"{name}.txt"
    text = "\n".join(line.rstrip() for line in text.split("\n")) + "\n"
    if os.environ.get("FORGE_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"{name} looks different"


@pytest.mark.parametrize("name", PICTURES)
async def test_picture(
    world: tuple[Project, FakeRun], make_app: MakeApp, settle: Settle, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textual.scrollbar import ScrollBar

    monkeypatch.setattr(ScrollBar, "renderer", ScrollBar.renderer)
    project, _ = world
    size, keys, model, ascii_only = PICTURES[name]
    folder = next(project.runs(model).glob("*/state.json")).parent
    app = make_app(project, run=folder, capabilities=Capabilities(ascii_only=ascii_only, sixteen=ascii_only))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        compare(name, screen_text(app))


STARTS: dict[str, Callable[[Path], Project | None]] = {
    "start-no-project": lambda path: None,
    "start-ready": lambda path: make_project(path / "project"),
    "start-broken": lambda path: make_project(path / "project", "[train]\nepocs = 3\n"),
}


@pytest.mark.parametrize("name", STARTS)
async def test_start(
    tmp_path: Path, make_app: MakeApp, settle: Settle, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path("/tmp/forge-snapshot")
    monkeypatch.setattr("forge_tui.widgets.start_panel.one_line", _placed(str(tmp_path), str(place)))
    monkeypatch.chdir(tmp_path)
    app = make_app(STARTS[name](tmp_path), start="train")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        compare(name, screen_text(app))


def _placed(real: str, shown: str) -> Callable[[str, int], str]:
    from forge_tui.text import one_line

    return lambda text, limit: one_line(text.replace(real, shown), limit)
