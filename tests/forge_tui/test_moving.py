"""Moving about: panes, lists of keys, logs and texts, with every key that does it, at both sizes."""

from __future__ import annotations

import pytest

from engine.project import Project
from forge_tui.screens.advice import AdviceScreen
from forge_tui.screens.help import HelpScreen
from forge_tui.screens.overlay import OverlayChoice
from forge_tui.screens.train import TrainScreen
from forge_tui.widgets.log_pane import LogPane
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, dialog_words, screen_text
from tests.forge_tui.fake_run import FakeRun

both_sizes = pytest.mark.parametrize("size", SIZES)


@both_sizes
async def test_tab_goes_round_the_panes_and_back(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        order = []
        for _ in range(3):
            await pilot.press("tab")
            order.append(app.screen.focused.id if app.screen.focused else None)
        assert order[:2] == ["chart", "log"]
        await pilot.press("shift+tab")
        assert app.screen.focused is not None and app.screen.focused.id == order[1]


@both_sizes
async def test_the_list_of_keys_scrolls_and_closes(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("question_mark")
        shown = app.screen.query_one("#help-list")
        assert shown.max_scroll_y > 0
        for down, up in (("j", "k"), ("down", "up"), ("ctrl+d", "ctrl+u"), ("pagedown", "pageup"), ("space", "pageup")):
            await pilot.press(down)
            assert shown.scroll_y > 0, down
            await pilot.press(up)
            assert shown.scroll_y == 0, up
        for closes in ("q", "question_mark", "f1", "escape"):
            assert isinstance(app.screen, HelpScreen)
            await pilot.press(closes)
            assert isinstance(app.screen, TrainScreen), closes
            await pilot.press("question_mark")


@both_sizes
async def test_the_log_scrolls_with_every_key(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        log = app.screen.query_one("#log", LogPane)
        for up, down in (("k", "j"), ("up", "down"), ("ctrl+u", "ctrl+d"), ("pageup", "pagedown"), ("g", "G")):
            await pilot.press(up)
            assert not log.following and log.scroll_y < log.max_scroll_y, up
            await pilot.press(down)
            assert log.following and log.scroll_y == log.max_scroll_y, down
        await pilot.press("home")
        assert log.scroll_y == 0
        await pilot.press("end")
        assert log.following


@both_sizes
async def test_the_lower_pane_alone(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        log = app.screen.query_one("#log", LogPane)
        before = log.size.height
        log.focus()
        await pilot.press("m")
        assert log.size.height > before and not app.screen.query_one("#chart").display
        await pilot.press("m")
        assert log.size.height == before and app.screen.query_one("#chart").display


@both_sizes
async def test_advice_is_closed_by_any_key_that_closes(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    live.advise("plateau")
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for closes in ("q", "question_mark", "f1", "escape"):
            await pilot.press("F")
            assert isinstance(app.screen, AdviceScreen) and "Stop at the best" in screen_text(app)
            await pilot.press(closes)
            assert isinstance(app.screen, TrainScreen), closes


@both_sizes
async def test_f1_lists_the_keys_of_a_dialog(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    FakeRun(project, model="other", name="20251101-000000-ffff").plan().train(900).done()
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert "F1 all keys" in screen_text(app)
        await pilot.press("f1")
        words = dialog_words(app)
        assert "Choosing overlays" in words and "Draw the chosen curves" in words and "Next entry" in words
        await pilot.press("escape")
        assert isinstance(app.screen, OverlayChoice)


@both_sizes
async def test_overlays_are_chosen_and_left_out_again(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    FakeRun(project, model="other", name="20251101-000000-ffff").plan().train(900).done()
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(app.screen, OverlayChoice) and "[ ] other" in screen_text(app)
        for key in ("space", "x"):
            await pilot.press(key)
            assert "[x] other" in screen_text(app)
            await pilot.press(key)
            assert "[ ] other" in screen_text(app)
        await pilot.press("x", "enter")
        await settle(pilot)
        assert len(app.overlays) == 1 and "other 1101-0000" in screen_text(app)


@both_sizes
async def test_a_run_that_is_started_elsewhere_is_shown(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="train")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "Ready to train" in screen_text(app)
        FakeRun(project).plan().hold().train(300)
        await pilot.press("6", "3")
        await settle(pilot)
        assert app.view is not None and "of its best" in screen_text(app)


async def test_ctrl_z_is_bound_everywhere(live: FakeRun, project: Project, make_app: MakeApp, settle: Settle) -> None:
    """What it does to a real terminal is in test_pty."""
    for size in SIZES:
        app = make_app(project)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            await pilot.press("question_mark", "ctrl+z", "escape")
            assert app.is_running and isinstance(app.screen, TrainScreen)
