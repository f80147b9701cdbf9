"""The Train screen: every key at the two sizes, every end of a run, and what happens while one watches."""

from __future__ import annotations

import itertools
import time

import pytest

from engine.events import Control, Log
from engine.project import Project
from engine.runs.control import take
from forge_tui.chart import ZOOMS
from forge_tui.screens.advice import AdviceScreen
from forge_tui.screens.ask import Ask
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.help import HelpScreen
from forge_tui.screens.overlay import OverlayChoice
from forge_tui.screens.train import TrainScreen
from forge_tui.widgets.log_pane import LogPane
from forge_tui.widgets.loss_chart import LossChart
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, wait_for
from tests.forge_tui.fake_run import FakeRun

both_sizes = pytest.mark.parametrize("size", SIZES)


def train_of(app: object) -> TrainScreen:
    """The Train screen that is shown."""
    screen = app.screen  # type: ignore[attr-defined]
    assert isinstance(screen, TrainScreen)
    return screen


@both_sizes
async def test_a_live_run_is_attached_at_start_and_shown_whole(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
    for part in ("sacrifice", "micro 4.20M", "cpu x4", "training", "[3 Train]", "val bits/byte", "validation",
                 "step 1,480/3,700", "tok/s", "of its best", "lr ", "grad ", "left", "memory 0.6/3.8 GB", "cpu 92%",
                 "61 °C", "disk 12.0 GB", "saved ", "40%", "following", "p pause", "? all keys"):  # fmt: skip
        assert part in text, part
    assert len(text.split("\n")) == size[1]


@both_sizes
async def test_keys_that_steer_send_commands(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key, command in (("p", "pause"), ("c", "save"), ("s", "stop")):
            await pilot.press(key)
            await settle(pilot)
            assert live.commands == [command]
        live.set(phase="paused")
        app.look_again()
        await pilot.press("p")
        await settle(pilot)
        assert live.commands == ["resume"]
        live.set(phase="stopping")
        app.look_again()
        await pilot.press("s")
        await settle(pilot)
        assert isinstance(app.screen, Confirm), "a second stop ends it at once, so it asks"
        await pilot.press("enter")
        await settle(pilot)
        assert live.commands == [], "Cancel is marked"
        await pilot.press("S", "y")
        await settle(pilot)
        assert live.commands == ["stop_now"]


@both_sizes
async def test_learning_rate_is_checked_at_the_field(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("r", *"abc", "enter")
        assert isinstance(app.screen, Ask)
        assert "is not a number" in screen_text(app)
        await pilot.press("ctrl+u", *"99", "enter")
        assert "at most 10" in screen_text(app)
        await pilot.press("ctrl+u", *"5e-4", "enter")
        await settle(pilot)
        sent = take(live.folder)
        assert [(command.command, command.value) for command in sent] == [("set_learning_rate", 0.0005)]
        await pilot.press("r", "1", "escape")
        await settle(pilot)
        assert take(live.folder) == [], "esc sends nothing"


@both_sizes
async def test_a_prompt_is_sampled_and_remembered(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("t", "ctrl+u", *"Who?", "enter")
        await settle(pilot)
        sent = take(live.folder)
        assert [(command.command, command.prompt) for command in sent] == [("sample", "Who?")]
        assert app.settings.answers["sample.prompt"] == "Who?"
        assert app.screen.query_one("#pane-samples").display


@both_sizes
async def test_keys_that_change_the_chart(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        train = train_of(app)
        await pilot.press("z")
        assert ZOOMS[train._options.zoom] == 0.5 and "zoom 50%" in screen_text(app)
        await pilot.press("left")
        assert train._options.behind == pytest.approx(0.25)
        await pilot.press("l")
        assert train._options.behind == 0
        await pilot.press("plus")
        assert ZOOMS[train._options.zoom] == 0.25
        await pilot.press("minus", "escape")
        assert train._options.zoom == 0, "esc shows all again"
        await pilot.press("y")
        await settle(pilot)
        assert train._options.log and "log" in screen_text(app)
        await pilot.press("u")
        await settle(pilot)
        assert "nats/token" in screen_text(app)
        await pilot.press("x")
        await settle(pilot)
        assert "step, log" in screen_text(app)
        await pilot.press("e")
        await settle(pilot)
        assert app.settings.smoothing == 2 and app.settings.chart_unit == "loss" and app.settings.chart_log


@both_sizes
async def test_views_and_maximising(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        seen = []
        for _ in range(3):
            await pilot.press("v")
            seen.append([pane for pane in ("log", "samples", "plan") if app.screen.query_one(f"#pane-{pane}").display])
        wide = size[0] >= 110
        if wide:
            assert seen == [["log", "plan"], ["log", "samples"], ["log", "plan"]]
        else:
            assert seen == [["samples"], ["plan"], ["log"]]
        await pilot.press("v")
        chart = app.screen.query_one(LossChart)
        chart.focus()
        before = chart.size.height
        await pilot.press("m")
        await pilot.pause()
        assert chart.size.height > before
        await pilot.press("escape")
        await pilot.pause()
        assert chart.size.height == before


async def test_plan_shows_every_key_with_its_reason(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle
) -> None:
    app = make_app(project)
    async with app.run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        await pilot.press("v")
        await settle(pilot)
        text = screen_text(app)
    assert "388 documents" in text and "train.learning_rate" in text and "Muon at" in text


@both_sizes
async def test_log_levels_search_and_following(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        log = app.screen.query_one("#log", LogPane)
        assert log.following
        await pilot.press("k")
        assert not log.following and "line " in screen_text(app)
        top = log.scroll_y
        live.train(live.state.step + 200)
        app.tick()
        await pilot.pause()
        assert log.scroll_y == top, "new lines do not move what one reads"
        await pilot.press("G")
        assert log.following and log.scroll_y == log.max_scroll_y
        await pilot.press("g")
        assert log.scroll_y == 0
        await pilot.press("end")
        await pilot.press("slash", *"evaluation")
        await settle(pilot)
        assert all("evaluation" in line.text for line in log._shown) and log._shown
        await pilot.press("enter", "escape")
        await settle(pilot)
        assert log.pattern == ""
        levels = []
        for _ in range(4):
            await pilot.press("L")
            levels.append(log.level)
        assert levels == ["warning", "error", "debug", "info"]


async def test_the_newest_line_is_always_in_sight(project: Project, make_app: MakeApp, settle: Settle) -> None:
    run = FakeRun(project).plan().hold()
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for number in range(20):
            run.emit(Log(text=f"line {number}"))
            app.tick()
            await pilot.pause(0.05)
            assert f"line {number} " in screen_text(app)


@both_sizes
async def test_advice_shows_its_key_and_the_key_acts(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    live.advise("plateau")
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "[f] halve the rate" in screen_text(app)
        rate = app.view.digest.step.learning_rate  # type: ignore[union-attr]
        await pilot.press("f")
        await settle(pilot)
        sent = take(live.folder)
        assert [(command.command, command.value) for command in sent] == [("set_learning_rate", rate / 2)]
        await pilot.press("F")
        await settle(pilot)
        assert isinstance(app.screen, AdviceScreen) and "not improved" in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, TrainScreen)


ENDS = {
    "finished": (lambda run: run.done(), ("finished", "val 1.209 bits/byte", "untrained 7.910", "[n] train again")),
    "failed": (lambda run: run.fail("error", "ValueError: no"), ("failed", "ValueError: no", "[enter] continue")),
    "diverged": (lambda run: run.fail("diverged", "The loss exploded.", exit_code=4), ("diverged", "exploded")),
    "memory": (lambda run: run.fail("out_of_memory", "Too large.", exit_code=5), ("out of memory", "Too large.")),
    "disk": (lambda run: run.fail("disk_full", "No space.", exit_code=6), ("disk full", "No space.")),
    "interrupted": (lambda run: run.release(), ("interrupted", "its host is gone", "[enter] continue from step")),
    "stopped": (lambda run: run.stopped(), ("stopped", "[enter] continue from step", "[n] new run", "[6] all runs")),
}


@both_sizes
@pytest.mark.parametrize("name", ENDS)
async def test_every_end_has_its_own_state_and_next_key(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], name: str
) -> None:
    finish, expected = ENDS[name]
    finish(live)
    app = make_app(project, run=live.folder)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        text = screen_text(app)
        await pilot.press("p")
        await settle(pilot)
        assert live.commands == [], "an ended run takes no commands"
        assert "has ended" in screen_text(app)
    for part in expected:
        assert part in text, part


@both_sizes
async def test_enter_continues_and_n_starts_anew(
    live: FakeRun,
    project: Project,
    make_app: MakeApp,
    settle: Settle,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    live.stopped()
    hosted: list[object] = []
    monkeypatch.setattr("engine.runs.host.start_detached", lambda run: hosted.append(run))
    app = make_app(project, run=live.folder)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert hosted == [live.folder]
        await pilot.press("n")
        await settle(pilot)
        assert len(hosted) == 2 and hosted[1] != live.folder
        assert app.view is not None and app.view.folder == hosted[1]


async def test_start_that_fails_says_why(project: Project, make_app: MakeApp, settle: Settle) -> None:
    project.job_file.write_text('[data]\nfiles = ["data/nothing*.txt"]\n')
    app = make_app(project, start="train")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        text = screen_text(app)
        assert "nothing" in text and app.view is None
        assert "Ready to train" in text, "one can try again"


async def test_broken_job_file_is_explained_with_its_line(project: Project, make_app: MakeApp, settle: Settle) -> None:
    project.job_file.write_text("[train]\nepocs = 3\n")
    app = make_app(project, start="train")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        text = screen_text(app)
        assert "forge.toml:2" in text and "epochs" in text
        project.job_file.write_text("[train]\nepochs = 3\n")
        await pilot.press("6", "3")
        await settle(pilot)
        assert "Ready to train" in screen_text(app)


async def test_refused_command_is_said(live: FakeRun, project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        live.emit(Control(command="save", by="me", accepted=False, text="The checkpoint could not be written."))
        await wait_for(pilot, lambda: "could not be written" in screen_text(app))


@both_sizes
async def test_overlay_draws_another_run(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    FakeRun(project, model="other", name="20251101-000000-ffff").plan().train(2000).done()
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(app.screen, OverlayChoice)
        await pilot.press("space", "enter")
        await settle(pilot)
        assert [other.run.state.model for other in app.overlays] == ["other"]
        assert "other 1101-0000" in screen_text(app)


@both_sizes
async def test_detach_leaves_the_run_and_shows_all(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert app.current_mode == "runs" and app.view is None and live.commands == []
        assert "goes on training" in screen_text(app)


@both_sizes
async def test_help_lists_the_keys_of_this_screen(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in ("question_mark", "f1"):
            await pilot.press(key)
            assert isinstance(app.screen, HelpScreen)
            text = screen_text(app)
            assert "Pause, or go on" in text and (size[1] < 40 or "Loss chart" in text)
            await pilot.press("escape")
            assert isinstance(app.screen, TrainScreen)


async def test_chart_is_redrawn_rarely_and_numbers_at_most_twice_a_second(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    original = LossChart._draw
    monkeypatch.setattr(LossChart, "_draw", lambda self: (drawn.append(time.monotonic()), original(self))[1])
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        drawn.clear()
        deadline = time.monotonic() + 60
        while len(drawn) < 3 and time.monotonic() < deadline:
            live.train(live.state.step + 5)
            await pilot.pause(0.05)
    assert len(drawn) >= 3
    assert all(later - earlier > 0.4 for earlier, later in itertools.pairwise(drawn))
