"""Every change to a model, stopped at every file system call: the old or the new state, never a third."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ForgeError
from engine.files import sha256_of
from engine.library import trash
from engine.library.about import change_tags, set_note
from engine.library.catalogue import find_entry, list_models
from engine.library.checkpoints import delete_checkpoint, list_checkpoints
from engine.library.clone import clone
from engine.library.disk_use import clean, disk_use
from engine.library.names import model_names
from engine.library.rename import rename
from engine.library.restoration import restore_checkpoint
from engine.model.card import Ancestor
from engine.model.info import read_model
from engine.project import Project
from engine.runs.state import runs_of
from engine.text.tokenizer_file import definition_hash
from tests.engine.library.interruption import every_interruption


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real fsyncs would take minutes here; that they are called is still seen."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def link_large(source: str, target: str) -> None:
    """Weights and the like are never changed in place, so the copies can share them."""
    if Path(source).stat().st_size > 20_000:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def complete(trained_template: Path, tmp_path: Path) -> Callable[[], Project]:
    """Makes copies of the project, each in a folder of its own."""
    numbers = itertools.count()

    def make() -> Project:
        root = tmp_path / f"p{next(numbers)}"
        shutil.copytree(trained_template, root, symlinks=True, copy_function=link_large)
        return Project(root)

    return make


@pytest.fixture
def fresh(trained_template: Path, tmp_path: Path) -> Callable[[], Project]:
    """As `complete`, without checkpoints and caches: few files make few calls."""
    numbers = itertools.count()
    left_out = shutil.ignore_patterns("checkpoints", ".forge", "tokenizer", "control", "*.lock", "curve.json")

    def make() -> Project:
        root = tmp_path / f"p{next(numbers)}"
        shutil.copytree(trained_template, root, symlinks=True, copy_function=link_large, ignore=left_out)
        return Project(root)

    return make


def names(project: Project) -> list[str]:
    return model_names(project)


def is_sound(project: Project, name: str) -> bool:
    info = read_model(project.models / name)
    assert info.card is not None
    tokenizer = json.loads(info.files["tokenizer.json"].read_bytes())
    return (
        sha256_of(info.weights.files[0]) == info.card.weights_sha256
        and definition_hash(tokenizer) == info.card.tokenizer_hash
    )


@pytest.mark.slow
def test_a_rename_leaves_one_loadable_model_with_its_runs_and_its_children(fresh: Callable[[], Project]) -> None:
    def prepare() -> Project:
        project = fresh()
        clone(project, "tiny", "child")
        return project

    for project, done in every_interruption(prepare, lambda project: rename(project, "tiny", "better")):
        name = "better" if "better" in names(project) else "tiny"
        assert names(project) == sorted(["child", name])
        assert name == "better" or not done
        assert is_sound(project, name)
        assert [run.state.model for run in runs_of(project)] == [name]
        assert find_entry(project, "child").parent == name
        rename(project, name, "best")
        assert names(project) == ["best", "child"]
        assert find_entry(project, "child").parent == "best"


@pytest.mark.slow
def test_a_clone_is_whole_or_not_there(fresh: Callable[[], Project]) -> None:
    for project, done in every_interruption(fresh, lambda project: clone(project, "tiny", "copy")):
        assert is_sound(project, "tiny")
        if "copy" in names(project):
            assert is_sound(project, "copy")
        else:
            assert not done
            clone(project, "tiny", "copy")
            assert is_sound(project, "copy")
        assert not list(project.models.glob(".new-*")) or "copy" in names(project)


def test_a_deleted_model_is_in_its_place_or_in_the_trash(fresh: Callable[[], Project]) -> None:
    for project, done in every_interruption(fresh, lambda project: trash.delete(project, "tiny")):
        trashed = trash.list_trash(project)
        assert len(names(project)) + len(trashed) == 1
        if trashed:
            assert trash.restore(project, trashed[0].id).name == "tiny"
        assert done <= bool(trashed)
        assert is_sound(project, "tiny")


@pytest.mark.slow
def test_bringing_a_model_back_stopped_anywhere_can_be_repeated(fresh: Callable[[], Project]) -> None:
    def prepare() -> Project:
        project = fresh()
        trash.delete(project, "tiny")
        return project

    for project, done in every_interruption(prepare, lambda project: trash.restore(project, "tiny", new_name="again")):
        assert len(names(project)) + len(trash.list_trash(project)) == 1
        if not names(project):
            assert not done
            trash.restore(project, trash.list_trash(project)[0].id, new_name="again")
        assert names(project) == ["again"]
        assert is_sound(project, "again")
        step = Ancestor(action="clone", time=list_models(project)[0].about.since - 0.001, source="tiny")
        assert list_models(project)[0].about.named("tiny", "again", step.time)


def test_emptying_the_trash_never_leaves_half_a_model_there(fresh: Callable[[], Project]) -> None:
    def prepare() -> Project:
        project = fresh()
        trash.delete(project, "tiny")
        return project

    for project, done in every_interruption(prepare, lambda project: trash.empty(project)):
        left = trash.list_trash(project)
        assert not (done and left)
        for entry in left:
            assert trash.restore(project, entry.id).name == "tiny"
            assert is_sound(project, "tiny")
        trash.empty(project)
        assert not [path for path in project.trash.iterdir() if not path.name.startswith(".lock")]


def test_a_replaced_model_is_kept_whole_or_not_at_all(fresh: Callable[[], Project]) -> None:
    for project, done in every_interruption(fresh, lambda project: trash.keep_replaced(project, "tiny", "a test")):
        assert is_sound(project, "tiny")
        trashed = trash.list_trash(project)
        assert bool(trashed) or not done
        for entry in trashed:
            trash.restore(project, entry.id, new_name="kept")
            assert is_sound(project, "kept")


@pytest.mark.slow
def test_a_restored_checkpoint_is_published_whole_or_the_old_model_stays(complete: Callable[[], Project]) -> None:
    project = complete()
    old, oldest = find_entry(project, "tiny").weights_sha256, list_checkpoints(project, "tiny")[-1]
    for project, done in every_interruption(complete, lambda project: restore_checkpoint(project, "tiny", oldest.id)):
        assert is_sound(project, "tiny")
        entry = find_entry(project, "tiny")
        assert (entry.lineage[-1].steps == oldest.step) == (entry.weights_sha256 != old)
        assert not done or entry.weights_sha256 != old
        if entry.weights_sha256 != old:
            assert [kept.label.kind for kept in trash.list_trash(project)] == ["version"]


def test_a_deleted_checkpoint_is_whole_or_gone(complete: Callable[[], Project]) -> None:
    for project, done in every_interruption(complete, lambda project: delete_checkpoint(project, "tiny", "32")):
        steps = [entry.step for entry in list_checkpoints(project, "tiny")]
        assert steps == ([48] if 32 not in steps else [48, 32])
        assert not done or 32 not in steps
        assert is_sound(project, "tiny")


def test_cleaning_up_stopped_anywhere_harms_no_model(complete: Callable[[], Project]) -> None:
    for project, _ in every_interruption(complete, lambda project: clean(project, disk_use(project).reclaimable)):
        assert is_sound(project, "tiny")


def test_notes_and_tags_are_old_or_new(fresh: Callable[[], Project]) -> None:
    def work(project: Project) -> None:
        set_note(project, "tiny", "second")
        change_tags(project, "tiny", add=["b"])

    def prepare() -> Project:
        project = fresh()
        set_note(project, "tiny", "first")
        return project

    for project, _ in every_interruption(prepare, work):
        entry = find_entry(project, "tiny")
        assert (entry.note, entry.tags) in {("first", ()), ("second", ()), ("second", ("b",))}
        assert entry.problem == ""


def test_an_operation_that_is_refused_changes_nothing(project: Project) -> None:
    before = sorted(path for path in project.models.rglob("*") if "lock" not in path.name)
    for work in (
        lambda: rename(project, "tiny", "Bad Name"),
        lambda: clone(project, "tiny", "../x"),
        lambda: clone(project, "tiny", "tiny"),
        lambda: restore_checkpoint(project, "tiny", "no-such"),
        lambda: trash.restore(project, "no-such"),
        lambda: trash.delete(project, "no-such"),
    ):
        with pytest.raises(ForgeError):
            work()
    assert sorted(path for path in project.models.rglob("*") if "lock" not in path.name) == before
