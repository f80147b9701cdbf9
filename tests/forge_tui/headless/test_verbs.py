"""`build`, `train` and `grow`: the guide's words, its defaults, and when a new run is started."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from engine.job import Job
from engine.project import Project
from engine.runs.state import runs_of
from forge_tui.command_line import build_parser
from tests.forge_tui.headless.conftest import Call, run, snapshot

SMALL = ("--set", "train.epochs=1", "--set", "train.sequence_length=64", "--set", "train.batch_size=4",
         "--set", "train.threads=1", "--set", "eval.max_tokens=4")  # fmt: skip
LARGER = "model.size={layers=2, dim=32, heads=1, kv_heads=1, ffn=64}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a verb asks for, instead of training."""
    found: dict[str, Any] = {}

    def note(project: Project, job: Job, mode: Any, **options: Any) -> int:
        found.update(project=project, job=job, mode=mode, **options)
        return 0

    monkeypatch.setattr("forge_tui.commands.train.run_job", note)
    monkeypatch.setattr("forge_tui.commands.grow.run_job", note)
    return found


def test_the_defaults_are_the_guides(call: Call, root: Path, asked: dict[str, Any]) -> None:
    assert call(root, "train").code == 0
    job = asked["job"]
    assert (job.model.name, job.model.size, job.train.epochs) == ("sacrifice", "small", 30)
    assert job.data.files == ["data/combined_action_training.txt"] and job.train.method == "train"
    assert asked["project"].root == root and asked["always_new"] is True
    assert asked["size_given"] is False, "an existing model keeps its size"
    assert call(root, "build").code == 0 and asked["job"].train.method == "build"


def test_options_reach_the_job(call: Call, root: Path, asked: dict[str, Any]) -> None:
    arguments = (
        "--model",
        "tiny",
        "--name",
        "mine",
        "--data",
        "data/a.txt",
        "data/*.txt",
        "--data",
        "b",
        "--epochs",
        "50",
    )
    assert call(root, "train", *arguments, "--force", "--set", "train.seed=5").code == 0
    job = asked["job"]
    assert (job.model.size, job.model.name, job.train.epochs, job.train.seed) == ("tiny", "mine", 50, 5)
    assert job.data.files == ["data/a.txt", "data/*.txt", "b"]
    assert asked["size_given"] is True and asked["mode"].force is True


def test_strange_file_names_arrive_as_they_are(call: Call, root: Path, asked: dict[str, Any]) -> None:
    names = ["with space", 'quo"te', "back\\slash", "new\nline", "smile☃😀", "del\x7f"]
    assert call(root, "train", "--data", *names).code == 0
    assert asked["job"].data.files == names


def test_files_are_named_from_where_one_stands(call: Call, root: Path, asked: dict[str, Any]) -> None:
    assert call(root / "data", "train", "--data", "qa.txt", "*.txt", "/abs/x").code == 0
    assert asked["job"].data.files == ["data/qa.txt", "data/*.txt", "../" * len(root.parts[1:]) + "abs/x"]
    assert asked["project"].root == root


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--epochs", "many"], 'train.epochs must be a whole number from 1 to 1,000,000 or "auto", not "many".'),
        (["--epochs", "0"], 'train.epochs must be a whole number from 1 to 1,000,000 or "auto", not 0.'),
        (["--epochs", "-3"], 'train.epochs must be a whole number from 1 to 1,000,000 or "auto", not "-3".'),
        (["--model", "medum"], 'There is no size "medum". Did you mean "medium"?'),
        (["--set", "train.epoch=3"], 'Unknown key "train.epoch". Did you mean "epochs"?'),
        (["--data", ""], "data.files[0] is empty."),
    ],
)
def test_wrong_options(call: Call, root: Path, arguments: list[str], says: str) -> None:
    if arguments[1].startswith("-"):
        arguments = ["=".join(arguments)]
    before = snapshot(root)
    done = call(root, "train", *arguments)
    assert done.code == 2 and says in done.message and snapshot(root) == before


@pytest.mark.parametrize("verb", ["build", "train", "grow"])
def test_all_verbs_have_the_options_of_batch(verb: str) -> None:
    arguments = [verb, *(["x", "small"] if verb == "grow" else []), "--json", "--detach", "--dry-run", "--set", "a.b=1"]
    args: argparse.Namespace = build_parser([verb]).parse_args(arguments)
    assert args.json and args.detach and args.dry_run and args.set == ["a.b=1"]


@pytest.mark.slow
def test_train_goes_on_with_the_model_and_always_anew(trained: Path) -> None:
    arguments = ("train", "--name", "tiny", "--data", "data/qa.txt", *SMALL)
    first, second = run(trained, *arguments), run(trained, *arguments)
    assert first.code == 0 and "continues models/tiny" in first.err, first.err
    assert second.code == 0 and "continues models/tiny" in second.err
    assert len(runs_of(Project(trained))) == 3
    forced = run(trained, "build", "--name", "tiny", "--data", "data/qa.txt", "--force", *SMALL, "--set", LARGER)
    assert forced.code == 0, forced.err
    assert "the present one goes to the trash" in forced.err and any((trained / "models" / ".trash").iterdir())


@pytest.mark.slow
def test_grow_as_another_leaves_the_model_alone(trained: Path) -> None:
    before = (trained / "models/tiny/model.safetensors").read_bytes()
    done = run(trained, "grow", "tiny", "nano", "--as", "larger", "--data", "data/qa.txt", *SMALL)
    assert done.code == 0, done.err
    assert "Copied models/tiny to models/larger." in done.err and "Grown from " in done.err
    assert (trained / "models/tiny/model.safetensors").read_bytes() == before
    from engine.model.info import read_model

    assert read_model(trained / "models/larger").size == "nano"


def test_grow_refuses_what_cannot_be(call: Call, trained: Path) -> None:
    before = snapshot(trained)
    for arguments, says in (
        (("nope", "small"), 'There is no model "nope"'),
        (("tini", "small"), 'Did you mean "tiny"?'),
        (("tiny", "smal"), 'Did you mean "small"?'),
        (("tiny", "nano", "--as", "A/b"), "cannot be the name of a model"),
        (("tiny", "nano", "--as", "x", "--dry-run"), "--dry-run cannot look beyond the copy."),
    ):
        done = call(trained, "grow", *arguments, "--data", "data/qa.txt")
        assert done.code == 2 and says in done.message
    assert snapshot(trained) == before
