"""The Chat: talking, every key, and what can go wrong."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from engine.files import FileLock
from engine.library.clone import clone
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import LOCK, runs_of, write_state
from engine.text.formats import read_documents
from forge_tui.app import ForgeApp
from forge_tui.screens.chat import ChatScreen
from forge_tui.screens.choose import Choose
from forge_tui.screens.sampling import Sampling
from forge_tui.widgets.transcript import Transcript
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, wait_for
from tests.forge_tui.fake_speaker import FakeSpeaker
from tests.model_projects import copy_project

both_sizes = pytest.mark.parametrize("size", SIZES)
HOSTILE = "\x1b[31m\x1b]52;c;AAAA\x07[/bold][red]\u202e\u200b end"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def models(trained_template: Path, tmp_path: Path) -> Project:
    """tiny and its clone kid."""
    project = copy_project(trained_template, tmp_path / "models-project")
    clone(project, "tiny", "kid")
    return project


@pytest.fixture
def speakers(monkeypatch: pytest.MonkeyPatch) -> list[FakeSpeaker]:
    return FakeSpeaker.replace(monkeypatch, "forge_tui.partner.Speaker")


def line(app: ForgeApp) -> Input:
    return app.screen.query_one("#chat-input", Input)


async def ask(pilot, text: str, settle: Settle) -> None:  # type: ignore[no-untyped-def]
    line(pilot.app).value = text
    await pilot.press("enter")
    await settle(pilot)


async def heard(pilot) -> None:  # type: ignore[no-untyped-def]
    """The screen has listened and shows what it heard, whenever its own timer comes."""
    screen = pilot.app.base_screen
    assert isinstance(screen, ChatScreen)
    screen._listen()
    await pilot.pause()


@both_sizes
async def test_a_question_is_answered_in_pieces(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "Type a question" in screen_text(app) and "tiny" in screen_text(app).split("\n")[2]
        assert speakers == [], "nothing is loaded before it is needed"
        await ask(pilot, "What is a loop?", settle)
        (speaker,) = speakers
        assert speaker.folder == models.models / "tiny" and not speaker.considerate
        assert [turn.text for turn in speaker.asked[0]] == ["What is a loop?"]
        assert "you       What is a loop?" in screen_text(app)
        speaker.say("It rep")
        await heard(pilot)
        assert "tiny      It rep" in screen_text(app) and "speaking" in screen_text(app)
        speaker.answer("eats.")
        await heard(pilot)
        assert "It repeats." in screen_text(app) and "ready" in screen_text(app) and "a second" in screen_text(app)
        await ask(pilot, "Why?", settle)
        assert [(turn.role, turn.text) for turn in speaker.asked[1]] == [
            ("user", "What is a loop?"), ("assistant", "It repeats."), ("user", "Why?"),
        ]  # fmt: skip
    assert speaker.closed


async def test_typing_loads_the_model(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("3")
        await settle(pilot)
        assert len(speakers) == 1 and speakers[0].asked == [] and line(app).value == "3"


@both_sizes
async def test_hostile_words_are_harmless(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await ask(pilot, f"x {HOSTILE}", settle)
        speakers[0].answer(HOSTILE * 3 + "\n" + "y" * 300_000)
        await heard(pilot)
        text = screen_text(app)
        assert not any(char in text for char in "\x1b\x07\u202e\u200b")
        assert "[/bold][red]" in text or "y" * 20 in text


@both_sizes
async def test_esc_stops_then_leaves_the_line_then_goes_back(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="runs")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("5")
        await settle(pilot)
        await ask(pilot, "Go on for ever", settle)
        speakers[0].say("and on")
        await heard(pilot)
        await ask(pilot, "Too early", settle)
        assert "Wait for the answer" in screen_text(app) and len(speakers[0].asked) == 1
        await pilot.press("escape")
        await heard(pilot)
        assert speakers[0].stopped == 1 and "stopped" in screen_text(app)
        assert line(app).has_focus
        await pilot.press("escape")
        assert app.screen.query_one(Transcript).has_focus
        await pilot.press("i")
        assert line(app).has_focus
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert app.current_mode == "runs"


@both_sizes
async def test_f9_and_s_stop(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await ask(pilot, "a", settle)
        await pilot.press("f9")
        await heard(pilot)
        await ask(pilot, "b", settle)
        await pilot.press("shift+tab", "s")
        await heard(pilot)
        assert speakers[0].stopped == 2


@both_sizes
async def test_again_asks_the_same_with_another_seed(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("f5")
        assert "Nothing was asked yet" in screen_text(app)
        await pilot.press("f4")
        app.screen.query_one("#field-seed", Input).value = "7"
        await pilot.press("enter")
        await ask(pilot, "a", settle)
        speakers[0].answer("first")
        await heard(pilot)
        await pilot.press("f5")
        await settle(pilot)
        assert [turn.text for turn in speakers[0].asked[1]] == ["a"]
        assert [settings.seed for settings in speakers[0].settings] == [7, 8]
        speakers[0].answer("second")
        await heard(pilot)
        assert "second" in screen_text(app) and "first" not in screen_text(app)
        await pilot.press("escape", "r")
        await settle(pilot)
        assert len(speakers[0].asked) == 3


@both_sizes
async def test_another_model_or_checkpoint_is_chosen(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await ask(pilot, "a", settle)
        speakers[0].answer("x")
        await heard(pilot)
        await pilot.press("f2")
        await settle(pilot)
        assert isinstance(app.screen, Choose) and "step 32" in screen_text(app)
        await pilot.press("G", "enter")
        await settle(pilot)
        assert speakers[0].closed and "step-00000032" in screen_text(app)
        await ask(pilot, "b", settle)
        assert speakers[1].folder.name == "step-00000032"
        assert len(speakers[1].asked[0]) == 3, "the conversation goes on"
        assert "step 32" in screen_text(app)
        await pilot.press("escape")
        await heard(pilot)
        await pilot.press("escape", "m")
        await settle(pilot)
        assert isinstance(app.screen, Choose)
        await pilot.press("escape")
        assert app.settings.answers["chat.voice"].startswith("tiny\n")


@both_sizes
async def test_two_models_answer_beside_each_other(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("g", "enter")
        await settle(pilot)
        heads = screen_text(app).split("\n")[2]
        assert "tiny" in heads and "kid" in heads
        await ask(pilot, "Who?", settle)
        assert {speaker.folder.name for speaker in speakers} == {"tiny", "kid"}
        speakers.sort(key=lambda speaker: speaker.folder.name, reverse=True)
        speakers[0].answer("Me on the left")
        speakers[1].answer("Me on the right")
        await heard(pilot)
        row = next(row for row in screen_text(app).split("\n") if "Me on the left" in row)
        assert "Me on the right" in row
        await ask(pilot, "And?", settle)
        assert speakers[1].asked[1][1].text == "Me on the right"
        speakers[0].answer("l")
        speakers[1].answer("r")
        await heard(pilot)
        await pilot.press("escape", "w")
        await settle(pilot)
        assert isinstance(app.screen, Choose)
        await pilot.press("G", "enter")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        (document,) = read_documents(models.data / "conversations.txt")
        assert [turn.text for turn in document.turns] == ["Who?", "Me on the right", "And?", "r"]
        await pilot.press("b")
        await settle(pilot)
        assert speakers[1].closed and "kid" not in screen_text(app).split("\n")[2]


@both_sizes
async def test_sampling_settings_are_checked_and_remembered(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("f4")
        assert isinstance(app.screen, Sampling)
        field = app.screen.query_one("#field-temperature", Input)
        for bad in ("hot", "-1", "nan"):
            field.value = bad
            await pilot.press("enter")
            assert "temperature must be" in screen_text(app), bad
        field.value = "0,5"
        await pilot.press("down")
        assert app.screen.query_one("#field-top_k").has_focus
        await pilot.press("up", "tab")
        assert app.screen.query_one("#field-top_k").has_focus
        app.screen.query_one("#field-stop", Input).value = "User:, END"
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "temperature 0.5" in screen_text(app)
        await ask(pilot, "a", settle)
        assert speakers[0].settings[0].temperature == 0.5 and speakers[0].settings[0].stop == ("User:", "END")
        speakers[0].answer("x")
        await heard(pilot)
        await pilot.press("f4", "ctrl+r", "enter")
        assert "temperature 0.8" in screen_text(app)
        await pilot.press("escape", "o", "escape")
    again = make_app(models, start="chat", settings=app.settings)
    async with again.run_test(size=size) as pilot:
        await settle(pilot)
        assert "temperature 0.8" in screen_text(again)


@both_sizes
async def test_the_system_prompt_is_told(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("f6")
        app.screen.query_one(TextArea).text = "Be brief.\nBe kind."
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert "system prompt" in screen_text(app)
        await ask(pilot, "a", settle)
        assert (speakers[0].asked[0][0].role, speakers[0].asked[0][0].text) == ("system", "Be brief.\nBe kind.")
        speakers[0].answer("x")
        await heard(pilot)
        await pilot.press("escape", "p")
        assert app.screen.query_one(TextArea).text == "Be brief.\nBe kind."
        await pilot.press("escape")


@both_sizes
async def test_a_conversation_is_saved_as_training_data(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("f7")
        assert "nothing to save" in screen_text(app)
        await ask(pilot, "What is a loop?", settle)
        speakers[0].answer("It repeats.")
        await heard(pilot)
        await ask(pilot, "And?", settle)
        speakers[0].fail("Memory ran out.")
        await heard(pilot)
        assert "Memory ran out. Try again." in screen_text(app)
        await pilot.press("f7")
        field = app.screen.query_one(Input)
        assert field.value == "conversations.txt"
        field.value = "../out.txt"
        await pilot.press("enter")
        assert "Name a file in the project" in screen_text(app)
        field.value = "mine.jsonl"
        await pilot.press("enter")
        await settle(pilot)
        assert "Added 1 exchange to data/mine.jsonl" in " ".join(screen_text(app).split())
        (document,) = read_documents(models.data / "mine.jsonl")
        assert [turn.text for turn in document.turns] == ["What is a loop?", "It repeats."]
        await pilot.press("f7")
        assert app.screen.query_one(Input).value == "mine.jsonl"
        await pilot.press("escape")


@both_sizes
async def test_new_forgets_and_recall_remembers(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for question in ("first", "second"):
            await ask(pilot, question, settle)
            speakers[0].answer("x")
            await heard(pilot)
        for key, value in (("up", "second"), ("up", "first"), ("up", "first"), ("down", "second"), ("down", "")):
            await pilot.press(key)
            assert line(app).value == value
        await pilot.press("f8")
        assert "first" not in screen_text(app)
        await ask(pilot, "third", settle)
        assert [turn.text for turn in speakers[0].asked[-1]] == ["third"]
        await pilot.press("escape")
        await heard(pilot)
        await pilot.press("escape", "n")
        await heard(pilot)
        assert "third" not in screen_text(app)


@both_sizes
async def test_the_conversation_scrolls_and_follows(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], size: tuple[int, int]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await ask(pilot, "a", settle)
        speakers[0].answer("\n".join(f"line {number}" for number in range(60)))
        await heard(pilot)
        shown = app.screen.query_one(Transcript)
        assert "line 59" in screen_text(app)
        await pilot.press("pageup")
        assert "line 59" not in screen_text(app)
        top = shown.scroll_offset.y
        await ask(pilot, "b", settle)
        assert shown.scroll_offset.y == top, "who has scrolled up is left alone"
        await pilot.press("pagedown", "pagedown")
        assert shown.scroll_offset.y > top
        await pilot.press("escape")
        await heard(pilot)
        await pilot.press("escape")
        for key in ("g", "G", "k", "j", "home", "end", "ctrl+u", "ctrl+d"):
            await pilot.press(key)
        assert shown.scroll_offset.y == shown.max_scroll_y


async def test_while_a_run_trains_its_newest_checkpoint_answers_with_one_thread(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker]
) -> None:
    from dataclasses import replace

    (run,) = runs_of(models)
    write_state(run.folder, replace(run.state, phase="training"))
    newest = run.folder / "checkpoints" / "step-00000060"
    app = make_app(models, start="chat")
    with FileLock(run.folder / LOCK) as lock, FileLock(run.folder.parent / MODEL_LOCK) as other:
        assert lock.acquire() and other.acquire()
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            await ask(pilot, "a", settle)
            assert speakers[0].considerate and speakers[0].folder.name == "step-00000048"
            assert "step 48 of the run in training" in screen_text(app)
            speakers[0].answer("x")
            await heard(pilot)
            shutil.copytree(run.folder / "checkpoints" / "step-00000048", newest)
            await ask(pilot, "b", settle)
            assert len(speakers) == 1 and speakers[0].folder == newest
            speakers[0].answer("x")
            await heard(pilot)
            lock.release()
            other.release()
            write_state(run.folder, run.state)
            await ask(pilot, "c", settle)
            assert speakers[0].closed and not speakers[1].considerate
            assert speakers[1].folder == models.models / "tiny"


async def test_a_dead_process_is_started_again(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await ask(pilot, "a", settle)
        speakers[0].fail("The process has ended.", fatal=True)
        await heard(pilot)
        assert "The process has ended." in screen_text(app)
        await ask(pilot, "b", settle)
        assert len(speakers) == 2 and [turn.text for turn in speakers[1].asked[0]] == ["b"]


async def test_a_model_that_goes_away_is_said(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker]
) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        shutil.rmtree(models.models / "tiny")
        await ask(pilot, "a", settle)
        assert "There is no model" in screen_text(app)
        await pilot.press("escape", "4", "5")
        await settle(pilot)
        assert "kid" in screen_text(app).split("\n")[2]


async def test_without_models_and_without_a_project(make_app: MakeApp, settle: Settle, project: Project) -> None:
    for place, words in ((project, "no model to talk to"), (None, "No project here")):
        app = make_app(place, start="chat")
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await settle(pilot)
            assert words in screen_text(app)
            await ask(pilot, "Hello?", settle)
            for key in ("f2", "f3", "f5", "f7", "f8", "f9"):
                await pilot.press(key)
                await settle(pilot)
            assert "no model to talk to" in screen_text(app)


async def test_an_idle_model_is_let_go(
    models: Project, make_app: MakeApp, settle: Settle, speakers: list[FakeSpeaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge_tui.screens.chat.IDLE_SECONDS", 0.2)
    app = make_app(models, start="chat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await ask(pilot, "a", settle)
        speakers[0].answer("x")
        await wait_for(pilot, lambda: speakers[0].closed)
        await ask(pilot, "b", settle)
        assert len(speakers) == 2


@pytest.mark.slow
async def test_a_real_model_answers(models: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(models, start="chat")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f4")
        for name, value in (("temperature", "2"), ("max_tokens", "20"), ("seed", "5")):
            app.screen.query_one(f"#field-{name}", Input).value = value
        await pilot.press("enter")
        await ask(pilot, "What is a loop?", settle)
        # So small a model may as well say nothing.
        ended = re.compile(r"ready.*(\d tokens|said nothing)", re.DOTALL)
        await wait_for(pilot, lambda: ended.search(screen_text(app)) is not None)
