"""The shell: screens, going back, leaving, help, palette, themes, sizes, the first start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from textual.app import App

from engine.errors import UsageError
from engine.project import Project
from forge_tui.app import ForgeApp
from forge_tui.screens import SCREENS
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.planning import PlanningScreen
from forge_tui.settings import Settings, keys_file, load_settings
from forge_tui.terminal import Capabilities
from forge_tui.themes import ABOUT, THEMES
from forge_tui.widgets.block_scroll_bar import BlockScrollBar
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, screen_words, wait_for
from tests.forge_tui.fake_run import FakeRun

both_sizes = pytest.mark.parametrize("size", SIZES)


def test_importing_the_app_loads_nothing_heavy() -> None:
    code = (
        "import sys, forge_tui.app, forge_tui.screens.train, forge_tui.screens.runs\n"
        "print([m for m in ('torch', 'plotext', 'numpy', 'tokenizers', 'safetensors', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@both_sizes
async def test_numbers_switch_screens_and_escape_goes_back_but_never_out(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="train")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for entry in SCREENS:
            await pilot.press("escape", entry.number)
            await settle(pilot)
            assert app.current_mode == entry.name
            assert f"[{entry.number} {entry.title}]" in screen_text(app)
        await pilot.press("6", "3", "escape")
        await settle(pilot)
        assert app.current_mode == "runs"
        for _ in range(8):
            await pilot.press("escape")
        assert app.is_running and app._exit is False


async def test_a_timer_that_comes_while_the_app_ends_does_nothing(
    project: Project, make_app: MakeApp, settle: Settle
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        screen, stack = app.screen, app._screen_stack
        assert isinstance(screen, PlanningScreen)
        kept = stack[:]
        stack.clear()
        screen._look()
        stack.extend(kept)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
@both_sizes
async def test_leaving_says_that_the_run_goes_on(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, key: str, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
    assert app.return_code == 0 and live.commands == []
    assert "sacrifice goes on training" in app.farewell and "forge-tui attach" in app.farewell


async def test_leaving_without_a_run_says_nothing(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
    assert app.return_code == 0 and app.farewell == ""


async def test_ctrl_c_explains_itself(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+c")
        await settle(pilot)
        assert "Press q to leave" in screen_text(app) and app.is_running


async def test_first_start_makes_a_project_in_one_key(
    tmp_path: Path, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = tmp_path / "starter"
    (starter / "data").mkdir(parents=True)
    (starter / "models").mkdir()
    (starter / "models" / "README.md").write_text("models")
    (starter / "data" / "combined_action_training.txt").write_text("Q: a b\nA: c d\n")
    (starter / "forge.toml").write_text('[model]\nname = "sacrifice"\nsize = "nano"\n')
    monkeypatch.setattr("forge_tui.new_project.starter_folder", lambda: starter)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    app = make_app(None)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "No project here yet" in screen_text(app) and "enter make a project" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert (empty / "forge.toml").is_file() and (empty / "models").is_dir()
        assert app.project == Project(empty.resolve())
        assert "Ready to train" in screen_text(app) and "enter start" in screen_text(app)


async def test_making_a_project_overwrites_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forge_tui.new_project import make_project

    starter = tmp_path / "starter"
    (starter / "data").mkdir(parents=True)
    (starter / "models").mkdir()
    (starter / "models" / "README.md").write_text("models")
    (starter / "data" / "a.txt").write_text("starter")
    (starter / "forge.toml").write_text("# starter\n")
    monkeypatch.setattr("forge_tui.new_project.starter_folder", lambda: starter)
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    (mine / "data" / "a.txt").write_text("mine")
    (mine / "forge.toml").write_text("# mine\n")
    make_project(mine)
    assert (mine / "data" / "a.txt").read_text() == "mine" and (mine / "forge.toml").read_text() == "# mine\n"


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (20, 5)])
async def test_too_small_says_so(project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "too small" in screen_words(app)
        await pilot.resize_terminal(60, 16)
        await wait_for(pilot, lambda: "too small" not in screen_text(app))  # the event comes in its own time


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40), (200, 60)])
async def test_every_screen_fits_and_can_be_resized(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        for entry in SCREENS:
            await pilot.press("escape", entry.number)
            await settle(pilot)
            await wait_for(pilot, lambda: whole(app, size[1]))
        await pilot.resize_terminal(80, 24)
        # The app knows its size at once, its screen after a timer of Textual's.
        await wait_for(pilot, lambda: whole(app, 24))


def whole(app: ForgeApp, height: int) -> bool:
    """Whether the first and the last row of a screen are there."""
    rows = screen_text(app).split("\n")
    return len(rows) == height and "all keys" in rows[-1] and "forge-tui" in rows[0]


@both_sizes
async def test_palette_lists_what_applies_and_runs_it(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+p", *"save a checkpoint")
        await wait_for(pilot, lambda: "train: save" in screen_text(app))
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        await settle(pilot)
        assert live.commands == ["save"]


@both_sizes
async def test_theme_is_chosen_and_remembered(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert app.theme == "forge"
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert app.theme == "anvil"
    assert load_settings().theme == "anvil"
    assert make_app(project, settings=load_settings()).theme == "anvil"


@pytest.mark.parametrize("name", THEMES)
async def test_every_theme_draws_every_screen(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, name: str
) -> None:
    app = make_app(project, theme=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.theme == name and name in ABOUT
        await pilot.press("6", "3", "question_mark")
        await settle(pilot)
        assert "Keys" in screen_text(app)


def test_no_colour_and_sixteen_colours_force_the_console_theme(project: Project, make_app: MakeApp) -> None:
    for found in (Capabilities(colors=False), Capabilities(sixteen=True)):
        app = make_app(project, theme="forge", capabilities=found, settings=Settings(theme="moss"))
        assert app.theme == "console" and app.theme_names == ["console"]


async def test_ascii_charset_draws_ascii_only(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textual.scrollbar import ScrollBar

    monkeypatch.setattr(ScrollBar, "renderer", ScrollBar.renderer)
    app = make_app(project, capabilities=Capabilities(ascii_only=True, sixteen=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert ScrollBar.renderer is BlockScrollBar
        for keys in (["3"], ["z"], ["6"], ["3", "question_mark"], ["escape", "S"], ["escape", "r"]):
            await pilot.press(*keys)
            await settle(pilot)
            odd = sorted({char for char in screen_text(app) if ord(char) > 126})
            assert odd in ([], ["°"]), (keys, odd)


async def test_keys_can_be_rebound_and_mistakes_are_told(
    live: FakeRun, project: Project, make_app: MakeApp, settle: Settle
) -> None:
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text('[keys]\n"train.pause" = "b"\n"train.pawse" = "x"\n')
    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        assert "Did you mean" in screen_text(app)
        assert "b pause" in screen_text(app)
        await pilot.press("p")
        await settle(pilot)
        assert live.commands == []
        await pilot.press("b")
        await settle(pilot)
        assert live.commands == ["pause"]


@both_sizes
async def test_question_marks_cancel_and_takes_arrows(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project)
    answers: list[bool | None] = []
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for keys in (["enter"], ["left", "enter"], ["y"], ["n"], ["escape"], ["tab", "space"]):
            app.push_screen(Confirm("Delete it?", detail="It is lost."), answers.append)
            await pilot.pause()
            assert "[ Cancel ]" in screen_text(app) and "It is lost." in screen_text(app)
            await pilot.press(*keys)
            await pilot.pause()
    assert answers == [False, True, True, False, False, True]


async def test_background_errors_become_toasts_and_never_end_the_app(
    project: Project, make_app: MakeApp, settle: Settle
) -> None:
    def explained() -> None:
        raise UsageError("This cannot be.", fix="Do that.", file=project.job_file, line=3)

    def surprising() -> None:
        raise ZeroDivisionError("[/nope] surprise")

    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.background.start(explained)
        app.background.start(surprising)
        await settle(pilot)
        text = screen_text(app)
        assert "forge.toml:3: This cannot be." in text and "Do that." in text
        assert "[/nope] surprise" in text
        assert app.is_running


async def test_of_a_group_only_the_newest_result_counts(project: Project, make_app: MakeApp, settle: Settle) -> None:
    import threading

    gate = threading.Event()
    results: list[int] = []
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        app.background.start(lambda: gate.wait(5) and 1, results.append, group="g")
        app.background.start(lambda: 2, results.append, group="g")
        await pilot.pause(0.1)
        gate.set()
        await settle(pilot)
    assert results == [2]


async def test_an_exception_leaves_no_traceback_on_the_terminal(
    project: Project, make_app: MakeApp, capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(project)

    def break_down() -> None:
        raise RuntimeError("secret data")

    with pytest.raises(RuntimeError):
        async with app.run_test(size=(80, 24)) as pilot:
            app.call_later(break_down)
            await pilot.pause(0.2)
    assert isinstance(app, App) and app.return_code == 1
    assert "RuntimeError" in app.farewell and "Runs go on" in app.farewell and "secret" not in app.farewell
    assert "secret" not in "".join(capfd.readouterr())
