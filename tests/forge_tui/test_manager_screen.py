"""The Manager: every model with what it is, and every key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from engine.files import FileLock
from engine.library import trash
from engine.library.about import change_tags, set_note
from engine.library.catalogue import find_entry, list_models
from engine.library.checkpoints import list_checkpoints
from engine.library.clone import clone
from engine.library.names import model_names
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from forge_tui.app import ForgeApp
from forge_tui.screens.checkpoints import CheckpointList
from forge_tui.screens.compare import Compare
from forge_tui.screens.confirm import Confirm
from forge_tui.screens.disk import DiskScreen
from forge_tui.screens.findings import Findings
from forge_tui.screens.manager import ManagerScreen
from forge_tui.screens.trash import TrashList
from forge_tui.widgets.fact_list import FactList
from forge_tui.widgets.pick_list import PickList
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, wait_for
from tests.forge_tui.fake_speaker import FakeSpeaker
from tests.model_projects import copy_project

both_sizes = pytest.mark.parametrize("size", SIZES)
HOSTILE = "\x1b[31m[/bold] \x1b]52;c;AAAA\x07 [red]x\u202e"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def models(trained_template: Path, tmp_path: Path) -> Project:
    """tiny, its clone kid, and the clone's clone grandkid."""
    project = copy_project(trained_template, tmp_path / "models-project")
    clone(project, "tiny", "kid")
    clone(project, "kid", "grandkid")
    set_note(project, "kid", f"Good at loops. {HOSTILE}")
    change_tags(project, "kid", add=["keep"])
    return project


def marked(app: ForgeApp) -> str:
    screen = app.screen_stack[0]
    assert isinstance(screen, ManagerScreen)
    return screen.marked.name if screen.marked else ""


@both_sizes
async def test_models_are_a_tree_with_their_facts(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
        rows = text.split("\n")
        assert any(row.lstrip("▸ ").startswith("tiny") for row in rows)
        assert any("└ kid" in row for row in rows) and any("  └ grandkid" in row for row in rows)
        assert "3 models" in text and "78.4k" in text and f"{find_entry(models, 'tiny').val_bpb:.3f}" in text
        await pilot.press("j")
        await settle(pilot)
        text = screen_text(app)
        assert marked(app) == "kid" and "came from" in text and "Good at loops." in text and "keep" in text
        assert "\x1b" not in text and "\u202e" not in text and "[/bold]" in text


@both_sizes
async def test_moving_and_scrolling(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:  # fmt: skip
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key, name in (("j", "kid"), ("down", "grandkid"), ("k", "kid"), ("up", "tiny"), ("G", "grandkid"),
                          ("g", "tiny"), ("end", "grandkid"), ("home", "tiny"), ("pagedown", "grandkid"),
                          ("pageup", "tiny"), ("ctrl+d", "grandkid"), ("ctrl+u", "tiny")):  # fmt: skip
            await pilot.press(key)
            await settle(pilot)
            assert marked(app) == name, key
        await pilot.press("tab")
        facts = app.screen.query_one(FactList)
        assert facts.has_focus
        for key in ("G", "end", "pagedown", "ctrl+d", "j", "down"):
            await pilot.press("g", key)
            await settle(pilot)
            assert facts.scroll_offset.y == facts.max_scroll_y or facts.scroll_offset.y > 0, key
        for key in ("k", "up", "pageup", "ctrl+u", "home"):
            await pilot.press("G", key)
            await settle(pilot)
            assert facts.scroll_offset.y < facts.max_scroll_y or facts.max_scroll_y == 0, key
        await pilot.press("escape")
        assert app.screen.query_one(PickList).has_focus


@both_sizes
async def test_rename_checks_the_name_at_the_field(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("r")
        field = app.screen.query_one(Input)
        assert field.value == "tiny"
        for bad, why in (("Bad Name", "cannot be the name"), ("kid", "already")):
            field.value = bad
            await pilot.press("enter")
            assert why in screen_text(app)
        field.value = "better"
        await pilot.press("enter")
        await settle(pilot)
        assert model_names(models) == ["better", "grandkid", "kid"]
        assert marked(app) == "better" and "is called better now" in screen_text(app)
        assert find_entry(models, "kid").parent == "better"
        await pilot.press("r", "escape")
        assert not isinstance(app.screen, Confirm) and model_names(models)[0] == "better"


@both_sizes
async def test_copy_proposes_a_free_name(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("y")
        assert app.screen.query_one(Input).value == "tiny-2"
        await pilot.press("enter")
        await settle(pilot)
        assert "tiny-2" in model_names(models) and marked(app) == "tiny-2"


@both_sizes
async def test_notes_and_tags(models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("n", "h", "i", "enter", "y", "o", "u", "ctrl+s")
        await settle(pilot)
        assert find_entry(models, "tiny").note == "hi\nyou"
        await pilot.press("n")
        app.screen.query_one(TextArea).text = "x" * 5000
        await pilot.press("ctrl+s")
        assert "At most 4,000" in screen_text(app)
        await pilot.press("escape", "t", "a", "space", "b", "enter")
        await settle(pilot)
        assert find_entry(models, "tiny").tags == ("a", "b")
        await pilot.press("t")
        app.screen.query_one(Input).value = "b , c"
        await pilot.press("enter")
        assert "cannot be a tag" in screen_text(app)
        app.screen.query_one(Input).value = "b"
        await pilot.press("enter")
        await settle(pilot)
        assert find_entry(models, "tiny").tags == ("b",)


@both_sizes
async def test_delete_asks_and_undo_brings_back(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("U")
        assert "Nothing was deleted here" in screen_text(app)
        await pilot.press("G", "D")
        assert isinstance(app.screen, Confirm) and "grandkid" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot)
        assert len(model_names(models)) == 3, "Cancel is marked"
        await pilot.press("delete", "y")
        await settle(pilot)
        assert model_names(models) == ["kid", "tiny"] and "is in the trash" in screen_text(app)
        await pilot.press("U")
        await settle(pilot)
        assert model_names(models) == ["grandkid", "kid", "tiny"] and marked(app) == "grandkid"


async def test_a_model_in_training_is_left_alone(models: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(models, start="manager")
    with FileLock(models.runs("tiny") / MODEL_LOCK) as lock:
        assert lock.acquire()
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await settle(pilot)
            await pilot.press("y", "enter")
            await settle(pilot)
            assert "is held by another command" in screen_text(app)
            assert len(model_names(models)) == 3


@both_sizes
async def test_the_trash_brings_back_under_another_name_and_removes(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    trash.delete(models, "grandkid")
    clone(models, "tiny", "grandkid")
    trash.delete(models, "kid")
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("x")
        await settle(pilot)
        assert isinstance(app.screen, TrashList)
        await pilot.press("enter")
        await settle(pilot)
        assert "kid" in model_names(models)
        await pilot.press("r")
        await settle(pilot)
        app.screen.query_one(Input).value = "another"
        await pilot.press("enter")
        await settle(pilot)
        assert "another" in model_names(models) and "It is empty." in screen_text(app)
        trash.delete(models, "another")
        trash.delete(models, "kid")
        await pilot.press("escape", "x")
        await settle(pilot)
        await pilot.press("D")
        assert isinstance(app.screen, Confirm) and "for good" in screen_text(app)
        await pilot.press("y")
        await settle(pilot)
        assert len(trash.list_trash(models)) == 1
        await pilot.press("E", "n")
        assert len(trash.list_trash(models)) == 1
        await pilot.press("E", "y")
        await settle(pilot)
        assert trash.list_trash(models) == []


@both_sizes
async def test_checkpoints_are_inspected_restored_and_deleted(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        assert isinstance(app.screen, CheckpointList)
        text = screen_text(app)
        assert "48" in text and "32" in text and "best" in text
        await pilot.press("j", "i")
        await settle(pilot)
        await pilot.press("tab", "G")
        await settle(pilot)
        assert "every byte is as it was" in " ".join(screen_text(app).split())
        await pilot.press("shift+tab", "r", "y")
        await settle(pilot)
        assert find_entry(models, "tiny").lineage[-1].steps == 32
        await pilot.press("D")
        assert isinstance(app.screen, Confirm) and "cannot be undone" in screen_text(app)
        await pilot.press("y")
        await settle(pilot)
        assert [entry.step for entry in list_checkpoints(models, "tiny")] == [48]
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, ManagerScreen)


async def test_a_model_without_checkpoints_says_so(models: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("j", "p")
        await settle(pilot)
        assert "left no checkpoints" in screen_text(app)
        await pilot.press("enter", "r", "t", "D")
        await settle(pilot)
        assert isinstance(app.screen, CheckpointList) and "There is no checkpoint here" in screen_text(app)


@both_sizes
async def test_verify_shows_a_verdict_on_every_part(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("v")
        await settle(pilot)
        assert isinstance(app.screen, Findings) and "nothing is damaged" in screen_text(app)
        assert "weights" in screen_text(app) and "step-00000048" in screen_text(app)
        await pilot.press("q")
        assert "every byte checked" in screen_text(app)
        weights = (models.models / "kid" / "model.safetensors").resolve()
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        await pilot.press("j", "v")
        await settle(pilot)
        assert "1 damaged" in screen_text(app) and "bad" in screen_text(app)


@both_sizes
async def test_disk_use_is_shown_and_freed(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    trash.delete(models, "grandkid")
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert isinstance(app.screen, DiskScreen)
        text = screen_text(app)
        assert "checkpoints of tiny" in text and "token caches" in text and "together" in text
        await pilot.press("enter")
        assert "Choose something first" in screen_text(app)
        await pilot.press("space")
        assert "chosen" in screen_text(app)
        await pilot.press("x", "a", "enter")
        assert isinstance(app.screen, Confirm) and "cannot be undone" in screen_text(app)
        await pilot.press("y")
        await settle(pilot)
        assert list_checkpoints(models, "tiny") == [] and trash.list_trash(models) == []
        assert "nothing" in screen_text(app)


@both_sizes
async def test_compare_shows_facts_curves_and_answers(
    models: Project, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    speakers = FakeSpeaker.replace(monkeypatch, "forge_tui.screens.compare.Speaker")
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("c", "enter")
        await settle(pilot)
        assert isinstance(app.screen, Compare)
        text = screen_text(app)
        assert "kid came from tiny." in text and "val bits/byte" in text and "78,400" in text
        await pilot.press("d")
        assert "78,400" not in screen_text(app)
        await pilot.press("v")
        await settle(pilot)
        assert "kid has no run of its own" in screen_text(app)
        await pilot.press("right")
        await settle(pilot)
        assert [speaker.folder.name for speaker in speakers] == ["tiny", "kid"]
        speakers[0].answer("It repeats.")
        speakers[1].answer(f"No idea. {HOSTILE}")
        await wait_for(pilot, lambda: "It repeats." in screen_text(app) and "No idea." in screen_text(app))
        text = screen_text(app)
        assert "What is a loop?" in text and "It repeats." in text and "No idea." in text and "\x1b" not in text
        await pilot.press("a", "W", "h", "y", "question_mark", "enter")
        await settle(pilot)
        assert speakers[0].asked[-1][-1].text == "Why?" and "Why?" in screen_text(app)
        await pilot.press("h", "left", "l")
        await pilot.press("escape")
        await settle(pilot)
    assert all(speaker.closed for speaker in speakers)


@both_sizes
async def test_the_list_is_narrowed_and_ordered(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("slash", "k", "e", "e", "p", "enter")
        await settle(pilot)
        assert len(app.screen.query_one(PickList)) == 1 and marked(app) == "kid"
        await pilot.press("escape")
        assert len(app.screen.query_one(PickList)) == 3
        await pilot.press("o")
        assert "best first" in screen_text(app)
        await pilot.press("o")
        assert "newest first" in screen_text(app)
        await pilot.press("o")
        assert "newest first" not in screen_text(app)


@both_sizes
async def test_talk_goes_to_the_chat(
    models: Project, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    FakeSpeaker.replace(monkeypatch, "forge_tui.partner.Speaker")
    app = make_app(models, start="manager")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("j", "enter")
        await settle(pilot)
        assert app.current_mode == "chat" and "kid" in screen_text(app).split("\n")[2]
        await pilot.press("escape", "4")
        await settle(pilot)
        await pilot.press("k", "p")
        await settle(pilot)
        await pilot.press("j", "t")
        await settle(pilot)
        assert app.current_mode == "chat" and "step-00000032" in screen_text(app).split("\n")[2]


async def test_an_empty_project_says_what_to_do(make_app: MakeApp, settle: Settle, project: Project) -> None:
    app = make_app(project, start="manager")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        assert "No models yet" in screen_text(app)
        for key in ("enter", "p", "c", "r", "y", "n", "t", "D", "v", "o", "U"):
            await pilot.press(key)
        assert app.current_mode == "manager" and "There is no model here" in screen_text(app)
        await pilot.press("x")
        await settle(pilot)
        assert "It is empty." in screen_text(app)
        await pilot.press("enter", "escape", "u")
        await settle(pilot)
        assert isinstance(app.screen, DiskScreen)


async def test_without_a_project_it_says_so(make_app: MakeApp, settle: Settle) -> None:
    app = make_app(None, start="manager")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "No project here" in screen_text(app)
        await pilot.press("enter", "x", "u", "U")


async def test_a_damaged_model_is_said_and_can_be_deleted(models: Project, make_app: MakeApp, settle: Settle) -> None:
    weights = (models.models / "grandkid" / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:3000])
    app = make_app(models, start="manager")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("slash", "g", "r", "a", "enter")
        await settle(pilot)
        assert "damaged" in screen_text(app) and "damaged or cut off" in " ".join(screen_text(app).split())
        await pilot.press("D", "y")
        await settle(pilot)
        assert len(list_models(models)) == 2


@both_sizes
async def test_hostile_names_and_records_are_harmless(
    models: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    odd = models.models / f"odd{HOSTILE.replace('/', '')}"
    (models.models / "kid").rename(odd)
    card = (odd / "forge.json").resolve()
    nasty = json.dumps(HOSTILE)[1:-1]
    card.write_text(card.read_text().replace("data/qa.txt", f"data/{nasty}.txt").replace('"custom"', f'"{nasty}"'))
    app = make_app(models, start="manager")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("slash", "o", "d", "d", "enter")
        await settle(pilot)
        for keys in ((), ("tab", "G", "escape"), ("r", "escape"), ("D", "escape"), ("y", "escape"),
                     ("p", "escape"), ("t", "escape"), ("u", "escape"), ("v", "escape"), ("D", "y"),
                     ("x", "escape"), ("U",)):  # fmt: skip
            await pilot.press(*keys)
            await settle(pilot)
            text = screen_text(app)
            assert not any(char in text for char in "\x1b\x07\u202e"), keys
    assert odd.exists()
