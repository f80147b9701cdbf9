"""The job form: every key of forge.toml, what each "auto" is, and changes that are written as they will run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.estimate import MachineMemory
from engine.job import Job, Stage
from engine.job_file import edit_job_text, load_job, parse_job
from engine.job_schema import known_keys
from engine.project import Project
from engine.training.recipe import resolve
from forge_tui import editor, run_control
from forge_tui.app import ForgeApp
from forge_tui.forecast import LEFT_OPEN, auto_values, facts_of, job_forecast
from forge_tui.job_fields import RATE_GUIDE, as_toml, as_typed, fields_of, from_typed
from forge_tui.screens import planning
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choose
from forge_tui.screens.data import DataScreen
from forge_tui.screens.job_form import JobForm
from forge_tui.screens.models import ModelsScreen
from forge_tui.screens.train import TrainScreen
from forge_tui.widgets.block_list import BlockList
from forge_tui.widgets.fact_list import FactList
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, screen_words
from tests.forge_tui.test_models_screen import NO_GPU, amount, host

both_sizes = pytest.mark.parametrize("size", SIZES)
GB = 10**9
TEXT = """\
# the job
[model]
name = "sacrifice"   # throw away
size = "nano"

[train]
epochs = 12          # not many
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine everywhere."""
    monkeypatch.setattr(planning, "known_machine", lambda cache: NO_GPU)
    monkeypatch.setattr("forge_tui.machine_facts.machine_memory", lambda: MachineMemory(4 * GB, 3 * GB))
    monkeypatch.setattr("engine.processor.cpu_does_bf16", lambda: False)


@pytest.fixture
def project(project: Project) -> Project:
    """With comments in its job."""
    project.job_file.write_text(TEXT)
    return project


async def open_form(pilot: Any, settle: Settle) -> JobForm:
    """The form, from the Models screen."""
    await settle(pilot)
    await pilot.press("f")
    await settle(pilot)
    assert isinstance(pilot.app.screen, JobForm)
    return pilot.app.screen


def mark(form: JobForm, key: str) -> None:
    """Put the cursor on a key."""
    form.query_one("#job-list", BlockList).mark(key)


def facts(form: JobForm) -> str:
    """All about the marked key."""
    return "\n".join(f"{name} {value}" for name, value in form.query_one("#job-facts", FactList)._facts)


async def type_value(app: ForgeApp, pilot: Any, text: str) -> None:
    """Answer the question that is open."""
    await pilot.pause()
    assert isinstance(app.screen, Ask)
    app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await pilot.pause()


@both_sizes
async def test_every_key_is_there_with_its_meaning(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        form = await open_form(pilot, settle)
        keys = form.query_one("#job-list", BlockList).keys
        assert keys == [key for key in known_keys() if not key.startswith("stage.")]
        for key in keys:
            mark(form, key)
            await pilot.pause()
            assert form.field is not None and form.field.key == key
            assert len(form.field.about) > 10 and form.field.expected in facts(form)
        text = screen_words(app)
        for part in ("builds sacrifice nano", "epochs", "steps", "GB free", "forge.toml", "saved", "enter change"):
            assert part in text, part
        assert len(screen_text(app).split("\n")) == size[1]


@both_sizes
async def test_auto_is_shown_with_its_reason_and_can_be_pinned(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        form = await open_form(pilot, settle)
        mark(form, "train.learning_rate")
        await pilot.pause()
        value, why = form._auto["train.learning_rate"]
        assert f"auto = {value}" in screen_text(app) and why in facts(form)
        assert "fine-tuning 5e-5 to 1e-5" in facts(form), "the guide is at hand"
        await pilot.press("i")
        await pilot.pause()
        assert all(rate in facts(form) for _, rate, _ in RATE_GUIDE)
        await pilot.press("i", "p")
        await settle(pilot)
        assert load_job(project.job_file).train.learning_rate == pytest.approx(float(value))
        await pilot.press("a")
        await settle(pilot)
        assert load_job(project.job_file).train.learning_rate == "auto"
        mark(form, "train.seed")
        await pilot.press("a")
        await pilot.pause()
        assert 'train.seed cannot be "auto"' in screen_words(app)
        await pilot.press("p")
        await pilot.pause()
        assert "decided now can be written down" in screen_words(app)


@both_sizes
async def test_a_wrong_value_is_refused_at_the_field(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        form = await open_form(pilot, settle)
        mark(form, "train.epochs")
        await pilot.press("enter")
        for wrong in ("many", "0", "1e9", "", '"3"'):
            await type_value(app, pilot, wrong)
            assert isinstance(app.screen, Ask), wrong
            assert "must be a whole number from 1" in screen_words(app) or "Type a value" in screen_words(app)
        assert project.job_file.read_text() == TEXT
        await type_value(app, pilot, "70")
        await settle(pilot)
        assert project.job_file.read_text() == TEXT.replace("epochs = 12 ", "epochs = 70 ")
        assert "x 70 epochs" in screen_text(app)


@both_sizes
async def test_choices_defaults_undo_and_the_way_out(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        form = await open_form(pilot, settle)
        mark(form, "train.preset")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Choose) and "the training guide's numbers" in screen_words(app)
        await pilot.press("G", "enter")
        await settle(pilot)
        assert load_job(project.job_file).train.preset == "classic"
        assert form._auto["train.learning_rate"][0] == "0.0001", "what is auto follows at once"
        await pilot.press("d")
        await settle(pilot)
        assert "preset" not in project.job_file.read_text()
        await pilot.press("d")
        await pilot.pause()
        assert "default already" in screen_words(app)
        await pilot.press("u", "u")
        await settle(pilot)
        assert project.job_file.read_text() == TEXT, "all changes are taken back, comments and all"
        await pilot.press("u")
        await pilot.pause()
        assert "Nothing was changed" in screen_words(app)
        mark(form, "data.deduplicate")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("j", "enter")
        await settle(pilot)
        assert load_job(project.job_file).data.deduplicate is False
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, ModelsScreen)


async def test_lists_are_typed_as_one_value_or_as_toml(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        form = await open_form(pilot, settle)
        mark(form, "eval.prompts")
        await pilot.press("enter")
        await type_value(app, pilot, "Who are you?")
        await settle(pilot)
        assert load_job(project.job_file).eval.prompts == ["Who are you?"]
        await pilot.press("enter")
        await type_value(app, pilot, '["One", "Two [x]"]')
        await settle(pilot)
        assert load_job(project.job_file).eval.prompts == ["One", "Two [x]"]
        mark(form, "export.gguf")
        await pilot.press("enter")
        await type_value(app, pilot, "q9")
        assert isinstance(app.screen, Ask)
        await type_value(app, pilot, "q8_0")
        await settle(pilot)
        assert load_job(project.job_file).export.gguf == ["q8_0"]
        mark(form, "data.files")
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, DataScreen)


@both_sizes
async def test_stages_are_added_changed_and_dropped(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        form = await open_form(pilot, settle)
        await pilot.press("n")
        await type_value(app, pilot, "tools")
        await settle(pilot)
        assert form.field is not None and form.field.key == "stage.0.files"
        assert load_job(project.job_file).stage == [Stage("tools", ["data/combined_action_training.txt"], 20)]
        assert "1 more stage" in screen_words(app)
        await pilot.press("n")
        await type_value(app, pilot, "tools")
        assert isinstance(app.screen, Ask) and "a name of its own" in screen_words(app)
        await pilot.press("escape")
        project.job_file.write_text(project.job_file.read_text().replace("epochs = 20", "epochs = 20  # enough"))
        mark(form, "stage.0.epochs")
        await pilot.press("enter")
        await type_value(app, pilot, "5")
        await settle(pilot)
        assert load_job(project.job_file).stage[0].epochs == 5 and "# enough" in project.job_file.read_text()
        mark(form, "stage.0.learning_rate")
        await pilot.pause()
        assert "half of the first stage's" in facts(form)
        mark(form, "stage.0.name")
        await pilot.press("d")
        await pilot.pause()
        assert "has no default" in screen_words(app)
        await pilot.press("D")
        await settle(pilot)
        assert load_job(project.job_file).stage == []
        assert project.job_file.read_text().startswith("# the job\n")
        mark(form, "model.name")
        await pilot.press("D")
        await pilot.pause()
        assert "cursor on a stage" in screen_words(app)


@both_sizes
async def test_it_starts_what_it_shows(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def start_job(app: ForgeApp, *, force: bool = False, settled: Any) -> None:
        assert app.workspace is not None
        jobs.append(app.workspace.job())
        settled()

    monkeypatch.setattr(run_control, "start_job", start_job)
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        await open_form(pilot, settle)
        await pilot.press("s")
        await settle(pilot)
        assert isinstance(app.screen, TrainScreen) and jobs == [parse_job(TEXT)]
        (project.data / "combined_action_training.txt").unlink()
        await pilot.press("2")
        await settle(pilot)
        assert isinstance(app.screen, JobForm), "the form is where it was left"
        await pilot.press("s")
        await settle(pilot)
        assert "is not there" in screen_words(app) and len(jobs) == 1


@both_sizes
async def test_a_broken_file_is_opened_at_its_mistake(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Path, int | None]] = []

    def edit(app: ForgeApp, path: Path, line: int | None = None) -> bool:
        opened.append((path, line))
        path.write_text(TEXT)
        return True

    monkeypatch.setattr(editor, "edit", edit)
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        form = await open_form(pilot, settle)
        project.job_file.write_text(TEXT.replace("epochs", "epoch"))
        form.arrived()
        await settle(pilot)
        assert 'Unknown key "train.epoch"' in screen_words(app)
        await pilot.press("enter", "d", "a", "p", "n", "D", "i", "s")
        await settle(pilot)
        await pilot.press("e")
        await settle(pilot)
        assert opened == [(project.job_file, 7)]
        mark(form, "train.epochs")
        await pilot.press("e")
        await settle(pilot)
        assert opened[-1] == (project.job_file, 7) and "x 12 epochs" in screen_text(app)


@both_sizes
async def test_the_filter_finds_keys_by_their_meaning(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        form = await open_form(pilot, settle)
        await pilot.press("slash", *"checkpoint", "enter")
        await settle(pilot)
        keys = form.query_one("#job-list", BlockList).keys
        assert "train.save_every" in keys and "train.keep_checkpoints" in keys and "model.name" not in keys
        await pilot.press("escape")
        await settle(pilot)
        assert "model.name" in form.query_one("#job-list", BlockList).keys


async def test_hostile_values_show_nothing_but_glyphs(project: Project, make_app: MakeApp, settle: Settle) -> None:
    evil = "\\u001b]0;x\\u0007[/bold]\\u202e"
    project.job_file.write_text(f'[data]\nfiles = ["{evil}"]\n[eval]\nprompts = ["{evil}", "[red]"]\n')
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        form = await open_form(pilot, settle)
        for key in ("data.files", "eval.prompts"):
            mark(form, key)
            await pilot.pause()
            assert "[/bold]" in screen_text(app)
            assert not any(char in screen_text(app) for char in "\x1b\x07\u202e")
        await pilot.press("enter")
        await pilot.pause()
        assert not any(char in screen_text(app) for char in "\x1b\x07\u202e")


def test_values_survive_being_shown_and_typed() -> None:
    text = (
        '[model]\nsize = {layers = 2, dim = 64, heads = 1, kv_heads = 1, ffn = 64}\n[data]\nfiles = ["a", '
        '{path = "b", weight = 2.0}]\n[train]\nlearning_rate = 3e-4\nmixed_precision = true\nseed = 7\n'
        '[[stage]]\nname = "30"\nfiles = ["c"]\n'
    )
    job = parse_job(text)
    for field in fields_of(job, text):
        changed = edit_job_text(text, {field.key: from_typed(field, as_typed(field))})
        assert parse_job(changed) == job, field.key
    assert as_toml(["a", {"b": 1.5}, True]) == '["a", {b = 1.5}, true]'


def test_each_auto_is_what_the_recipe_will_decide() -> None:
    for text in ("", "[train]\nlearning_rate = 1e-3\n", '[train]\npreset = "classic"\n', "[train]\nbatch_size = 3\n"):
        job = parse_job(text)
        forecast = job_forecast(job, amount(), host(16 * GB), [], None)
        values = auto_values(job, forecast, amount(), host(16 * GB))
        recipe = resolve(job.train, facts_of(job, forecast.dimensions, amount(), host(16 * GB), continuing=False))
        for name in LEFT_OPEN:
            if getattr(job.train, name) == "auto":
                shown, why = values[f"train.{name}"]
                decided = getattr(recipe, name)
                assert shown.replace(",", "") == (f"{decided:g}" if isinstance(decided, float) else str(decided)), name
                assert why == recipe.why[f"train.{name}"] and why
