"""Whatever a file, a name, a log or a model says, only visible glyphs are drawn, on every screen."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.events import Advice, Control, Log, Sample
from engine.project import Project
from forge_tui.app import ForgeApp
from forge_tui.screens.ask import Ask
from forge_tui.screens.confirm import Confirm
from tests.forge_tui.conftest import MakeApp, Settle, screen_text
from tests.forge_tui.fake_run import FakeRun
from tests.forge_tui.hostile import FORBIDDEN, HOSTILE


def assert_harmless(app: ForgeApp) -> None:
    """Nothing forbidden is on the screen."""
    text = screen_text(app)
    found = sorted({hex(ord(char)) for char in text if char in FORBIDDEN})
    assert not found, found


def journal_safe(text: str) -> str:
    """What can be in a journal at all: JSON holds no lone surrogates."""
    return text.encode("utf-8", "replace").decode()


@pytest.fixture
def infested(project: Project) -> FakeRun:
    """A run in which everything is hostile, among others of the kind."""
    for index, evil in enumerate(map(journal_safe, HOSTILE.values())):
        other = FakeRun(project, model=f"m{index}", name=f"20251101-0000{index:02d}-aaaa")
        other.set(size=evil, text=evil, fix=evil, data=(evil,), model=evil, phase="failed", code="error")
    run = FakeRun(project).plan().hold()
    run.train(600)
    for evil in map(journal_safe, HOSTILE.values()):
        run.emit(
            Log(text=evil), Sample(step=600, prompt=evil, text=evil), Sample(step=601, prompt="same", text=evil),
            Advice(code="plateau", severity="warning", text=evil, fix=evil),
            Control(command="save", by=evil, accepted=False, text=evil),
        )  # fmt: skip
    return run


async def test_hostile_runs_on_every_screen(
    infested: FakeRun, project: Project, make_app: MakeApp, settle: Settle
) -> None:
    app = make_app(project)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settle(pilot)
        assert_harmless(app)
        for keys in (["g"], ["L"], ["v"], ["F"], ["escape", "o"], ["escape", "slash", "x", "enter"],
                     ["escape", "t"], ["escape", "S"], ["escape", "6"], *[["j"]] * len(HOSTILE), ["D"],
                     ["escape", "o"], ["question_mark"], ["escape", "enter"], ["d"]):  # fmt: skip
            await pilot.press(*keys)
            await settle(pilot)
            assert_harmless(app)
        assert app.is_running


async def test_hostile_words_in_dialogs_toasts_and_errors(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        for evil in HOSTILE.values():
            app.clear_notifications()
            app.notify(evil, title=evil)
            app.show_error(UsageError(evil, fix=evil, file=evil, line=3))
            app.unexpected(ValueError(evil))
            app.push_screen(Confirm(evil, detail=evil, yes=evil[:20]))
            await pilot.pause()
            assert_harmless(app)
            await pilot.press("escape")
            app.push_screen(Ask(evil, detail=evil, value=evil, example=evil))
            await pilot.pause()
            assert_harmless(app)
            await pilot.press("escape")
        assert app.is_running


@pytest.mark.parametrize("name", ["colour", "closing markup", "right to left", "long", "lone surrogate"])
async def test_hostile_job_file(project: Project, make_app: MakeApp, settle: Settle, name: str) -> None:
    evil = HOSTILE[name].encode("utf-8", "surrogatepass")[:5000]
    project.job_file.write_bytes(b'[model]\nname = "' + evil + b'"\n')
    app = make_app(project, start="train")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert_harmless(app)
        assert "cannot be used" in screen_text(app)


async def test_markup_is_shown_as_it_is(project: Project, make_app: MakeApp, settle: Settle) -> None:
    run = FakeRun(project).plan().hold()
    run.train(600)
    run.emit(Log(text="[INFO] step [1/10] [10%] [/nope]"))
    app = make_app(project)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "[INFO] step [1/10] [10%] [/nope]" in screen_text(app)
