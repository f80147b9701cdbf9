"""`forge-tui models`: every verb, its exit code, and JSON that scripts can rely on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.files import FileLock
from engine.library.catalogue import find_entry
from engine.library.checkpoints import list_checkpoints
from engine.library.names import model_names
from engine.library.trash import list_trash
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from forge_tui import figures
from forge_tui.cli import main
from tests.model_projects import copy_project

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def project(trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = copy_project(trained_template, tmp_path / "models-project")
    monkeypatch.chdir(project.root / "data")
    return project


@pytest.fixture
def shell(project: Project, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs `forge-tui models ...`: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["models", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def listed(shell: Shell, *arguments: str) -> Any:
    code, out, _ = shell(*arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_list_is_a_tree_and_json_is_complete(shell: Shell, project: Project) -> None:
    assert shell("clone", "tiny", "kid")[0] == 0
    code, out, _ = shell()
    assert code == 0 and "\n└ kid" in out and "78.4k" in out and out.startswith("name")
    found = listed(shell)
    assert [entry["name"] for entry in found] == ["kid", "tiny"] == [e["name"] for e in listed(shell, "list")]
    assert found[0]["parent"] == "tiny" and found[1]["parameters"] == 78400
    assert found[1]["val_bpb"] == pytest.approx(find_entry(project, "tiny").val_bpb)
    assert [entry["name"] for entry in listed(shell, "list", "kid")] == ["kid"]
    assert listed(shell, "list", "no-such") == []


def test_show(shell: Shell) -> None:
    code, out, _ = shell("show", "TINY")
    assert code == 0 and "78,400 parameters" in out and "data/qa.txt" in out and "built: custom" in out
    found = listed(shell, "show", "tiny")
    assert found["disk"]["checkpoints"] > 1_000_000 and [c["step"] for c in found["checkpoints"]] == [48, 32]


def test_rename_clone_note_and_tag(shell: Shell, project: Project) -> None:
    assert shell("rename", "tiny", "better")[0] == 0
    assert shell("clone", "better", "copy")[0] == 0
    assert model_names(project) == ["better", "copy"]
    assert shell("note", "copy", "for later")[0] == 0
    assert shell("note", "copy")[1] == "for later\n"
    assert shell("note", "copy", "")[0] == 0 and shell("note", "copy")[1] == "\n"
    assert shell("tag", "copy", "b", "a")[1] == "a b\n"
    assert shell("tag", "copy", "--remove", "b")[1] == "a\n"
    assert shell("tag", "copy")[1] == "a\n"


def test_what_goes_to_the_trash_comes_back(shell: Shell, project: Project) -> None:
    code, out, err = shell("delete", "tiny")
    assert code == 0 and out == "" and "restore tiny-" in err
    (trashed,) = listed(shell, "trash")
    assert trashed["name"] == "tiny" and trashed["kind"] == "model" and Path(trashed["path"]).is_dir()
    assert trashed["id"] in shell("trash")[1]
    assert shell("restore", "tiny", "--as", "back")[0] == 0
    assert model_names(project) == ["back"]
    assert "empty" in shell("trash")[2]


def test_the_trash_is_emptied_only_on_purpose(shell: Shell, project: Project) -> None:
    shell("clone", "tiny", "kid")
    shell("delete", "tiny", "kid")
    code, _, err = shell("trash", "empty")
    assert code == 2 and "--yes" in err and len(list_trash(project)) == 2
    assert shell("trash", "empty", "kid", "--yes")[0] == 0
    assert [entry.name for entry in list_trash(project)] == ["tiny"]
    assert shell("trash", "empty", "no-such", "--yes")[0] == 2
    assert shell("trash", "empty", "--yes")[0] == 0 and list_trash(project) == []


def test_verify_fails_when_something_is_damaged(shell: Shell, project: Project) -> None:
    code, out, _ = shell("verify")
    assert code == 0 and "weights" in out and "step-00000048" in out
    weights = (project.models / "tiny" / "model.safetensors").resolve()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, out, _ = shell("verify", "tiny", "--json")
    found = {finding["part"]: finding["verdict"] for finding in json.loads(out)["tiny"]}
    assert code == 1 and found["weights"] == "bad" and found["tokenizer"] == "good"


def test_checkpoints(shell: Shell, project: Project) -> None:
    assert "step-00000032" in shell("checkpoints", "tiny")[1]
    assert [entry["step"] for entry in listed(shell, "checkpoints", "tiny")] == [48, 32]
    code, out, _ = shell("checkpoints", "tiny", "show", "32")
    assert code == 0 and "every byte is as it was written" in out
    assert listed(shell, "checkpoints", "tiny", "show", "best")["step"] == 48
    code, _, err = shell("checkpoints", "tiny", "restore", "32")
    assert code == 0 and "is its step 32 now" in err and "restore tiny-" in err
    assert find_entry(project, "tiny").lineage[-1].steps == 32
    assert shell("checkpoints", "tiny", "delete", "32")[0] == 2
    assert shell("checkpoints", "tiny", "delete", "32", "--yes")[0] == 0
    assert [entry.step for entry in list_checkpoints(project, "tiny")] == [48]
    assert shell("checkpoints", "tiny", "restore")[0] == 2


def test_compare(shell: Shell) -> None:
    shell("clone", "tiny", "kid")
    code, out, err = shell("compare", "tiny", "kid")
    assert code == 0 and "val bits/byte" in out and "kid came from tiny." in err
    found = listed(shell, "compare", "tiny", "kid")
    assert found["relation"] == "kid came from tiny." and found["curves"]["first"]["val_bpb"]


def test_clean(shell: Shell, project: Project) -> None:
    code, out, err = shell("clean")
    assert code == 0 and "checkpoints" in out and "clean checkpoints cache" in err
    assert {entry["kind"] for entry in listed(shell, "clean")["reclaimable"]} == {"checkpoints", "cache"}
    assert shell("clean", "checkpoints")[0] == 2
    assert shell("clean", "everything", "--yes")[0] == 2
    saved = listed(shell, "show", "tiny")["disk"]["checkpoints"]
    code, _, err = shell("clean", "checkpoints", "--yes")
    assert code == 0 and saved > 1_000_000 and f"Freed {figures.size(saved)}" in err
    assert list_checkpoints(project, "tiny") == []
    assert shell("clean", "cache", "--yes")[0] == 0
    assert "nothing to free" in shell("clean")[2]


@pytest.mark.parametrize(
    "arguments",
    [("rename", "tiny", "better"), ("clone", "tiny", "better"), ("delete", "tiny"),
     ("checkpoints", "tiny", "restore", "32"), ("checkpoints", "tiny", "delete", "32", "--yes")],
)  # fmt: skip
def test_a_held_model_is_busy(shell: Shell, project: Project, arguments: tuple[str, ...]) -> None:
    with FileLock(project.runs("tiny") / MODEL_LOCK) as lock:
        assert lock.acquire()
        code, out, err = shell(*arguments)
    assert code == 75 and out == "" and "held" in err and model_names(project) == ["tiny"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "tni"), 'Did you mean "tiny"?'),
        (("rename", "tiny", "Bad"), 'Try "bad"'),
        (("rename", "tiny", "../x"), "cannot be the name"),
        (("clone", "tiny", "tiny"), "already"),
        (("restore", "x"), "trash"),
        (("tag", "tiny", "a b"), "cannot be a tag"),
        (("compare", "tiny", "x"), "no model"),
        (("frobnicate",), "frobnicate"),
        (("rename", "tiny"), "required"),
    ],
)
def test_mistakes_are_explained_with_exit_code_2(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = shell(*arguments)
    assert code == 2 and out == "" and words in err and len(err.strip().split("\n")) == 1


def test_hostile_names_and_notes_reach_no_terminal(shell: Shell, project: Project) -> None:
    nasty = "\x1b]0;x\x07\x1b[2J\u202e"
    (project.models / f"odd{nasty}").mkdir()
    (project.models / f"odd{nasty}" / "config.json").write_text("{}")
    shell("note", "tiny", nasty + "\x7f")
    for arguments in ((), ("--json",), ("show", "tiny"), ("verify",), ("list", nasty), ("show", nasty), ("clean",)):
        _, out, err = shell(*arguments)
        assert not any(char in out + err for char in "\x1b\x07\x7f\u202e"), arguments


def test_an_empty_project_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    (tmp_path / "forge.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    code, out, err = shell()
    assert code == 0 and out == "" and "no models" in err
    assert listed(shell) == []
    assert shell("verify")[0] == 0 and shell("clean")[0] == 0 and shell("trash", "empty", "--yes")[0] == 0
