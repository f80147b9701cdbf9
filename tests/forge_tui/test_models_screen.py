"""The Models screen: the ladder on this machine, models to go on with, and the way into the job."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.estimate import MachineMemory
from engine.job import Job
from engine.job_file import load_job
from engine.project import Project
from engine.sizes import LADDER, SIZES
from forge_tui import run_control
from forge_tui.app import ForgeApp
from forge_tui.forecast import Amount, measured_speeds, middle_of, outlook
from forge_tui.machine_facts import Machine
from forge_tui.screens import planning
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choose
from forge_tui.screens.job_form import JobForm
from forge_tui.screens.models import ModelsScreen
from forge_tui.screens.train import TrainScreen
from forge_tui.widgets.block_list import BlockList
from tests.forge_tui.conftest import SIZES as SCREENS
from tests.forge_tui.conftest import MakeApp, Settle, screen_text, screen_words, wait_for
from tests.forge_tui.fake_run import FakeRun

both_sizes = pytest.mark.parametrize("size", SCREENS)
GB = 10**9
NO_GPU = {"torch": "2", "threads": 4, "devices": [], "mps": False, "gflops": 100.0, "gflops_bf16": 1.0}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine everywhere: four cores, 4 GB."""
    monkeypatch.setattr(planning, "known_machine", lambda cache: NO_GPU)
    monkeypatch.setattr("forge_tui.machine_facts.machine_memory", lambda: MachineMemory(4 * GB, 3 * GB))
    monkeypatch.setattr("forge_tui.machine_facts.physical_cores", lambda: 4)
    monkeypatch.setattr("engine.processor.cpu_does_bf16", lambda: False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published nano, made once."""
    from tests.model_projects import train_model

    root = tmp_path_factory.mktemp("trained")
    train_model(root, "first", 'model.size="nano"', "train.epochs=1")
    return root / "models"


def models_of(app: ForgeApp) -> ModelsScreen:
    """The Models screen that is shown."""
    screen = app.screen
    assert isinstance(screen, ModelsScreen)
    return screen


def mark(app: ForgeApp, key: str) -> None:
    """Put the cursor on a row."""
    models_of(app).query_one("#models-list", BlockList).mark(key)


def job_of(project: Project) -> Job:
    """forge.toml as it is now."""
    return load_job(project.job_file)


@both_sizes
async def test_the_ladder_says_what_each_size_needs_here(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for rung in LADDER:
            assert rung.name in text
        for part in ("[2 Models]", "parameters", "tok/s", "does not fit: medium does", "chosen", "30 epochs",
                     "cpu x4", "guide", "combined_action_training.txt", "enter choose", "s start"):  # fmt: skip
            assert part in text, part
        assert models_of(app).marked == "size:nano", "the cursor is on the job's size"
        exact = SIZES["nano"].dimensions.parameters(512)
        assert f"{exact:,} parameters" in text
        mark(app, "size:xxl")
        await settle(pilot)
        assert "needs at least" in screen_words(app) and "here are 4.0 GB" in screen_words(app)
        assert len(text.split("\n")) == size[1]


@both_sizes
async def test_enter_takes_a_size_and_opens_the_job_form(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    project.job_file.write_text('# mine\n[model]\nname = "sacrifice"   # throw away\nsize = "nano"\n')
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("j", "enter")
        await settle(pilot)
        assert isinstance(app.screen, JobForm)
        assert job_of(project).model.size == "micro"
        assert "# throw away" in project.job_file.read_text()
        await pilot.press("escape")
        await settle(pilot)
        assert "micro" in screen_text(app).split("\n")[0]
        await pilot.press("f")
        await settle(pilot)
        assert isinstance(app.screen, JobForm)


@both_sizes
async def test_what_cannot_fit_is_refused_with_the_reason(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        mark(app, "size:large")
        await pilot.press("enter")
        await settle(pilot)
        assert "large does not fit" in screen_words(app) and "largest size that fits is" in screen_words(app)
        assert job_of(project).model.size == "nano"


@both_sizes
async def test_name_and_epochs_are_checked_at_the_field(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await pilot.pause()
        assert isinstance(app.screen, Ask) and "50 to 100 for nano" in screen_words(app)
        await pilot.press("ctrl+u", *"many", "enter")
        await pilot.pause()
        assert "whole number" in screen_words(app)
        await pilot.press("ctrl+u", *"70", "enter")
        await settle(pilot)
        assert job_of(project).train.epochs == 70 and "70 epochs" in screen_text(app)
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("ctrl+u", *"No/Name", "enter")
        await pilot.pause()
        assert "cannot be the name of a model" in screen_words(app)
        await pilot.press("ctrl+u", *"owl", "enter")
        await settle(pilot)
        assert job_of(project).model.name == "owl"


@both_sizes
async def test_three_keys_lead_from_the_models_to_a_run(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[bool] = []

    def start_job(app: ForgeApp, *, force: bool = False, settled: Any) -> None:
        started.append(force)
        settled()

    monkeypatch.setattr(run_control, "start_job", start_job)
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("s")
        await settle(pilot)
        assert isinstance(app.screen, TrainScreen) and started == [False]


@both_sizes
async def test_models_are_continued_grown_or_left_alone(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], trained: Path
) -> None:
    shutil.rmtree(project.models)
    shutil.copytree(trained, project.models, symlinks=True)
    app = make_app(project, start="models")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("G")
        await settle(pilot)
        assert models_of(app).marked == "model:first"
        text = screen_words(app)
        assert "continue or grow" in text and "grows to" in text and "val " in text
        await pilot.press("enter")
        await settle(pilot)
        job = job_of(project)
        assert (job.model.name, job.model.size, job.train.method) == ("first", "nano", "train")
        assert isinstance(app.screen, JobForm) and "continues first" in screen_words(app)
        await pilot.press("escape")
        await settle(pilot)
        await pilot.press("w")
        await pilot.pause()
        assert isinstance(app.screen, Choose) and "micro" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot)
        job = job_of(project)
        assert (job.model.name, job.model.size, job.train.method) == ("first", "micro", "grow")
        await pilot.press("escape")
        await settle(pilot)
        mark(app, "size:nano")
        await pilot.press("enter")
        await pilot.pause()
        words = screen_words(app)
        assert "go on with it" in words and "a new model" in words and "build it anew" in words
        app.screen.query_one(BlockList).mark("new")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press(*"first", "enter")
        await pilot.pause()
        assert "There is a model" in screen_words(app)
        await pilot.press("ctrl+u", *"second", "enter")
        await settle(pilot)
        job = job_of(project)
        assert (job.model.name, job.model.size, job.train.method) == ("second", "nano", "train")
        await pilot.press("escape")
        await settle(pilot)
        mark(app, "size:nano")
        await pilot.press("w")
        await pilot.pause()
        assert "sizes do not grow" in screen_words(app)


async def test_building_in_place_of_a_model_asks_first(
    project: Project, make_app: MakeApp, settle: Settle, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[bool] = []

    def started(app: object, force: bool = False, settled: Callable[[], None] = lambda: None) -> None:
        forced.append(force)
        settled()

    monkeypatch.setattr(run_control, "start_job", started)
    shutil.rmtree(project.models)
    shutil.copytree(trained, project.models, symlinks=True)
    project.job_file.write_text('[model]\nname = "first"\nsize = "nano"\n[train]\nmethod = "build"\n')
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("s")
        await pilot.pause()
        assert "goes to the trash" in screen_words(app)
        await pilot.press("n")
        await settle(pilot)
        assert forced == []
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("y")
        await settle(pilot)
        assert forced == [True]


async def test_a_job_that_does_not_fit_its_model_says_so(
    project: Project, make_app: MakeApp, settle: Settle, trained: Path
) -> None:
    shutil.rmtree(project.models)
    shutil.copytree(trained, project.models, symlinks=True)
    project.job_file.write_text('[model]\nname = "first"\nsize = "micro"\n')
    app = make_app(project, start="models")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("s")
        await settle(pilot)
        assert "cannot go on as micro" in screen_words(app) and isinstance(app.screen, ModelsScreen)


async def test_measured_speeds_are_told_from_estimates(project: Project, make_app: MakeApp, settle: Settle) -> None:
    FakeRun(project, size="micro").plan().train(500).done()
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        rows = {line.split()[0 if line[0] == " " else 1]: line for line in screen_text(app).split("\n")[4:13]}
        assert "~" not in rows["micro"].split("GB")[1].split("tok/s")[0], "measured"
        assert "~" in rows["tiny"], "estimated from what was measured"
        mark(app, "size:micro")
        await settle(pilot)
        assert "measured in an earlier run" in screen_words(app)


async def test_hostile_models_and_broken_jobs(project: Project, make_app: MakeApp, settle: Settle) -> None:
    (project.models / "evil\x1b[31m[red]").mkdir()
    (project.models / "evil\x1b[31m[red]" / "config.json").write_text("{}")
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("G", "enter", "w")
        await settle(pilot)
        assert "\x1b" not in screen_text(app) and "[31m[red]" in screen_text(app)
    project.job_file.write_text("[train]\nepoch = 3\n")
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert 'Unknown key "train.epoch"' in screen_words(app)
        await pilot.press("enter", "w", "s", "f", "n", "e", "j", "slash", "escape")
        await settle(pilot)
    app = make_app(None, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "No project here" in screen_text(app)
        await pilot.press("enter", "w", "s", "f", "n", "e")


@both_sizes
async def test_the_filter(project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]) -> None:
    app = make_app(project, start="models")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("slash", *"med", "enter")
        await settle(pilot)
        assert models_of(app).query_one("#models-list", BlockList).keys == ["size:medium"]
        await pilot.press("escape")
        await settle(pilot)
        assert len(models_of(app).query_one("#models-list", BlockList).keys) == len(LADDER)


async def test_the_first_visit_asks_the_machine(
    project: Project, make_app: MakeApp, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = {**NO_GPU, "devices": [{"name": "H100\x1b[31m", "memory": 80 * GB, "bf16": True}]}
    monkeypatch.setattr(planning, "known_machine", lambda cache: None)
    monkeypatch.setattr(planning, "probe_machine", lambda cache: gpu)
    app = make_app(project, start="models")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await wait_for(pilot, lambda: "H100" in screen_text(app))
        assert "does not fit" not in screen_text(app) and "\x1b" not in screen_text(app)


def amount(**changes: Any) -> Amount:
    """Some data."""
    fields: dict[str, Any] = {
        "tokens": 70_000, "documents": 700, "lines": 2400, "vocabulary": 1024, "why_vocabulary": "", "median": 90,
        "own_tokenizer": False, "longest": 511, "certain": True, "exact": False, "bytes": 159_000,
    }  # fmt: skip
    return Amount(**{**fields, **changes})


def host(memory: int) -> Machine:
    """A machine with so much memory."""
    return Machine("cpu", "x", MachineMemory(memory, memory), 4, 5e10, "fp32", "", True)


def test_recommendations_fit_data_and_machine() -> None:
    assert outlook(Job(), amount(), host(16 * GB), []).recommended == "mini"
    assert outlook(Job(), amount(lines=300, tokens=9000), host(16 * GB), []).recommended == "nano"
    small = outlook(Job(), amount(lines=10**6, tokens=10**9), host(3 * GB // 2), [])
    assert small.recommended == small.largest == "small"
    none = outlook(Job(), amount(), host(GB // 10), [])
    assert none.recommended == none.largest == "" and all(rung.fit == "too large" for rung in none.rungs)


def test_time_counts_epochs_and_stages() -> None:
    rungs = {rung.size: rung for rung in outlook(Job(), amount(), host(64 * GB), []).rungs}
    longer = {rung.size: rung for rung in outlook(Job(), amount(later=70_000 * 30), host(64 * GB), []).rungs}
    for name, rung in rungs.items():
        assert rung.seconds is not None and rung.speed is not None
        assert rung.seconds == pytest.approx(70_000 * 30 / rung.speed)
        assert longer[name].seconds == pytest.approx(2 * rung.seconds)
        assert rung.parameters == SIZES[name].dimensions.parameters(1024)


def test_speeds_come_from_the_newest_run_of_a_size(project: Project) -> None:
    from engine.runs.state import runs_of

    FakeRun(project, name="20251121-120000-ab12", size="micro", created=1000.0).plan().train(500).set(
        tokens_per_second=10.0)  # fmt: skip
    FakeRun(project, name="20251122-120000-ab12", size="micro", created=2000.0).plan().train(500).set(
        tokens_per_second=20.0)  # fmt: skip
    FakeRun(project, name="20251123-120000-ab12", size="nano", created=3000.0).plan()
    assert measured_speeds(runs_of(project)) == {"micro": 20.0}


def test_the_middle_of_a_histogram() -> None:
    from engine.text.report import Bar

    assert middle_of([]) == (0, 0)
    median, longest = middle_of([Bar(16, 31, 1), Bar(32, 63, 10), Bar(64, 127, 3)])
    assert 32 < median < 63 and longest == 127
