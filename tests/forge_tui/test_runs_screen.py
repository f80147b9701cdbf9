"""The Runs screen: every run with its state, and every key."""

from __future__ import annotations

import time

import pytest

from engine.project import Project
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.runs import RunsScreen
from forge_tui.widgets.pick_list import PickList
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, dialog_words, screen_text
from tests.forge_tui.fake_run import FakeRun

both_sizes = pytest.mark.parametrize("size", SIZES)


@pytest.fixture
def runs(project: Project) -> list[FakeRun]:
    """One of each kind, newest first."""
    now = time.time()
    live = FakeRun(project, model="live", name="20251122-120000-0001", created=now).plan().hold()
    live.train(500)
    gone = FakeRun(project, model="gone", name="20251121-120000-0002", created=now - 100).plan().train(300)
    stopped = (
        FakeRun(project, model="halted", name="20251120-120000-0003", created=now - 200).plan().train(300).stopped()
    )
    done = FakeRun(project, model="good", name="20251119-120000-0004", created=now - 300).plan().train(300).done()
    bad = FakeRun(project, model="bad", name="20251118-120000-0005", created=now - 400).plan()
    bad.fail("diverged", "The loss exploded.", exit_code=4)
    return [live, gone, stopped, done, bad]


@both_sizes
async def test_all_runs_are_listed_with_their_state(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        rows = screen_text(app).split("\n")
    for model, word in (("live", "training"), ("gone", "interrupted"), ("halted", "stopped"), ("good", "finished"),
                        ("bad", "diverged")):  # fmt: skip
        assert any(model in row and word in row for row in rows), (model, word)
    assert any("5 runs, 1 going" in row for row in rows)
    assert any("20251122-120000-0001" in row for row in rows), "the marked run's curve has its name"


@both_sizes
async def test_moving_shows_each_runs_detail(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        pick = app.screen.query_one(PickList)
        for key, index in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("G", 4), ("g", 0), ("end", 4), ("home", 0),
                           ("pagedown", 4), ("pageup", 0), ("ctrl+d", 4), ("ctrl+u", 0)):  # fmt: skip
            await pilot.press(key)
            await settle(pilot)
            assert pick.marked == str(runs[index].folder), key
        await pilot.press("G")
        await settle(pilot)
        assert "The loss exploded." in screen_text(app) and "No step was finished." in screen_text(app)


@both_sizes
async def test_attach_opens_train(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("j", "j", "j", "enter")
        await settle(pilot)
        assert app.current_mode == "train" and app.view is not None and app.view.run.state.model == "good"
        assert "finished" in screen_text(app)


@both_sizes
async def test_stop_and_continue(
    runs: list[FakeRun],
    project: Project,
    make_app: MakeApp,
    settle: Settle,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    hosted: list[object] = []
    monkeypatch.setattr("engine.runs.host.start_detached", lambda run: hosted.append(run))
    app = make_app(project, start="runs")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("c")
        assert hosted == [], "a live run cannot be continued"
        await pilot.press("s")
        await settle(pilot)
        assert runs[0].commands == ["stop"]
        await pilot.press("j", "s")
        await settle(pilot)
        assert runs[1].commands == [] and "has ended" in screen_text(app)
        await pilot.press("c")
        await settle(pilot)
        assert hosted == [runs[1].folder] and app.current_mode == "train"


@both_sizes
async def test_delete_asks_and_can_be_undone(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("D")
        await settle(pilot)
        assert not isinstance(app.screen, Confirm) and "Stop it first" in screen_text(app)
        await pilot.press("j", "D")
        await settle(pilot)
        assert isinstance(app.screen, Confirm) and "The model itself stays" in dialog_words(app)
        await pilot.press("enter")
        await settle(pilot)
        assert runs[1].folder.exists(), "Cancel is marked"
        await pilot.press("delete", "y")
        await settle(pilot)
        assert not runs[1].folder.exists()
        assert "gone" not in [row.split()[0] for row in screen_text(app).split("\n")[4:9] if row.split()]
        await pilot.press("U")
        await settle(pilot)
        assert runs[1].folder.exists() and "gone" in screen_text(app)


@both_sizes
async def test_overlay_needs_a_watched_run(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        app.unfollow()
        await pilot.press("j", "o")
        await settle(pilot)
        assert "Watch another run first" in screen_text(app)
        await pilot.press("k", "enter")
        await settle(pilot)
        await pilot.press("6", "j", "o")
        await settle(pilot)
        assert [other.run.state.model for other in app.overlays] == ["gone"]
        await pilot.press("o")
        await settle(pilot)
        assert app.overlays == []


@both_sizes
async def test_filter(
    runs: list[FakeRun], project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("slash", *"interr")
        await settle(pilot)
        assert len(app.screen.query_one(PickList)) == 1 and "gone" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert len(app.screen.query_one(PickList)) == 5
        await pilot.press("slash", *"halt", "enter")
        await settle(pilot)
        assert len(app.screen.query_one(PickList)) == 1
        await pilot.press("enter")
        await settle(pilot)
        assert app.view is not None and app.view.run.state.model == "halted"


async def test_empty_project_says_what_to_do(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project, start="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert isinstance(app.screen, RunsScreen) and "No runs yet. Press 3" in screen_text(app)
