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


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_run_on_every_screen(project: Project, make_app: MakeApp, settle: Settle, name: str) -> None:
    evil = HOSTILE[name]
    run = FakeRun(project).plan().hold()
    run.train(600)
    run.set(size=evil, text=evil, fix=evil, data=(evil,), model=evil)
    safe = evil.encode("utf-8", "replace").decode()
    run.emit(
        Log(text=safe), Sample(step=600, prompt=safe, text=safe),
        Advice(code="plateau", severity="warning", text=safe, fix=safe),
        Control(command="save", by=safe, accepted=False, text=safe),
    )  # fmt: skip
    app = make_app(project)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settle(pilot)
        assert_harmless(app)
        for keys in (["v"], ["F"], ["escape", "o"], ["escape", "6"], ["question_mark"], ["escape", "slash", "x"],
                     ["escape", "3", "t"], ["escape", "S"], ["escape", "d"]):  # fmt: skip
            await pilot.press(*keys)
            await settle(pilot)
            assert_harmless(app)
        assert app.is_running


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_words_in_dialogs_toasts_and_errors(
    project: Project, make_app: MakeApp, settle: Settle, name: str
) -> None:
    evil = HOSTILE[name]
    app = make_app(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        app.notify(evil, title=evil)
        app.show_error(UsageError(evil, fix=evil, file=evil, line=3))
        app.unexpected(ValueError(evil))
        app.push_screen(Confirm(evil, detail=evil, yes=evil[:20]))
        await settle(pilot)
        assert_harmless(app)
        await pilot.press("escape")
        app.push_screen(Ask(evil, detail=evil, value=evil, example=evil))
        await settle(pilot)
        assert_harmless(app)
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
