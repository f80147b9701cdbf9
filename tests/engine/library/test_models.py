"""Listing, renaming, copying, deleting and noting, on a model that was really trained."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from engine.errors import BusyError, DiskFullError, ForgeError, ModelError, UsageError
from engine.files import FileLock
from engine.library import clone as clone_module
from engine.library import trash
from engine.library.about import change_tags, set_note
from engine.library.catalogue import find_entry, list_models
from engine.library.checkpoints import delete_checkpoint
from engine.library.clone import clone
from engine.library.rename import rename
from engine.library.restoration import restore_checkpoint
from engine.library.verification import verify
from engine.model.info import read_model
from engine.project import Project
from engine.runs.launch import MODEL_LOCK, read_request
from engine.runs.state import LOCK, WORKER_LOCK, runs_of


def sound(project: Project, name: str) -> bool:
    return all(finding.verdict == "good" for finding in verify(project, name))


def test_the_list_says_what_a_model_is(project: Project) -> None:
    (entry,) = list_models(project)
    assert (entry.name, entry.size, entry.parameters, entry.phase) == ("tiny", "custom", 78400, "finished")
    assert entry.val_bpb is not None and 1 < entry.val_bpb < 8
    assert [file.path for file in entry.data] == ["data/qa.txt"]
    assert entry.loadable and entry.published and not entry.problem
    assert json.loads(json.dumps(entry.to_dict()))["parent"] is None


def test_damaged_models_are_listed_with_what_is_wrong(project: Project) -> None:
    for name in ("cut", "pickle", "odd"):
        shutil.copytree(project.models / "tiny", project.models / name, symlinks=True)
    with (project.models / "cut" / "model.safetensors").open("r+b") as stream:
        stream.truncate(1000)
    shutil.rmtree(project.models / "pickle")
    (project.models / "pickle").mkdir()
    (project.models / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (project.models / "odd" / ".library.json").write_text("{broken")
    (project.models / "nothing").mkdir()
    found = {entry.name: entry for entry in list_models(project)}
    assert set(found) == {"tiny", "cut", "pickle", "odd"}
    assert "damaged or cut off" in found["cut"].problem and not found["cut"].loadable
    assert "pickle" in found["pickle"].problem
    assert "notes are damaged" in found["odd"].problem and found["odd"].loadable


def test_a_model_whose_first_run_has_not_finished_is_listed(project: Project) -> None:
    (project.models / "young").mkdir()
    shutil.move(project.models / "tiny" / "runs", project.models / "young" / "runs")
    young = find_entry(project, "young")
    assert (young.published, young.loadable, young.runs, young.problem) == (False, False, 1, "")
    assert young.size == "custom"


def test_a_renamed_model_answers_as_before(project: Project) -> None:
    from engine.model.loaded import load_model

    before = load_model(project.models / "tiny").generate("What is a loop?", temperature=0, max_tokens=5)
    folder = rename(project, "tiny", "better")
    assert load_model(folder).generate("What is a loop?", temperature=0, max_tokens=5) == before
    assert not (project.models / "tiny").exists()
    entry = find_entry(project, "better")
    assert [former.name for former in entry.about.former] == ["tiny"]
    card = read_model(folder).card
    assert card is not None and card.name == "better"
    assert (folder / "README.md").read_text().count("# better") == 1
    assert sound(project, "better")


def test_the_runs_of_a_renamed_model_belong_to_its_new_name(project: Project) -> None:
    rename(project, "tiny", "better")
    (run,) = runs_of(project, "better")
    assert run.state.model == "better"
    assert read_request(run.folder).job.model.name == "better"
    assert runs_of(project, "tiny") == []


def test_the_same_job_under_the_new_name_is_still_finished(project: Project) -> None:
    from engine.job_file import load_job
    from engine.runs.launch import prepare

    rename(project, "tiny", "better")
    text = project.job_file.read_text().replace('"tiny"', '"better"')
    project.job_file.write_text(text)
    assert prepare(project, load_job(project.job_file)).kind == "finished"


def test_a_rename_there_and_back_and_onto_itself(project: Project) -> None:
    rename(project, "tiny", "better")
    rename(project, "better", "tiny")
    assert rename(project, "tiny", "tiny").name == "tiny"
    assert sound(project, "tiny")


def test_a_folder_with_an_unsafe_name_can_be_given_a_safe_one(project: Project) -> None:
    (project.models / "tiny").rename(project.models / "Tiny Größe")
    assert "rename it" in find_entry(project, "Tiny Größe").problem
    with pytest.raises(UsageError):
        rename(project, "Tiny Größe", "also Bad")
    rename(project, "tiny größe", "tiny")
    assert find_entry(project, "tiny").problem == ""


def test_a_clone_has_files_of_its_own(project: Project) -> None:
    folder = clone(project, "tiny", "copy")
    assert sound(project, "copy")
    entry = find_entry(project, "copy")
    assert (entry.parent, entry.runs, entry.lineage[-1].action) == ("tiny", 0, "clone")
    assert entry.lineage[:-1] == find_entry(project, "tiny").lineage
    for name in ("model.safetensors", "tokenizer.json"):
        first, second = project.models / "tiny" / name, folder / name
        assert first.stat().st_ino != second.stat().st_ino
        assert first.read_bytes() == second.read_bytes()
    shutil.rmtree(project.models / "tiny")
    assert sound(project, "copy")


def test_a_clone_of_another_programs_model_gets_a_record(project: Project) -> None:
    folder = project.models / "foreign"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(project.models / "tiny" / name, folder / name)
    clone(project, "foreign", "copy")
    card = read_model(project.models / "copy").card
    assert card is not None
    assert (card.name, card.size, card.lineage[-1].source) == ("copy", "custom", "foreign")


def test_a_clone_that_will_not_fit_is_refused_before_anything_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(project.root)._replace(free=1000)
    monkeypatch.setattr(clone_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFullError, match="needs 32 MB; 0 MB are free"):
        clone(project, "tiny", "copy")
    assert [entry.name for entry in list_models(project)] == ["tiny"]


def test_deleting_and_undoing(project: Project) -> None:
    set_note(project, "tiny", "precious")
    trashed = trash.delete(project, "tiny")
    assert list_models(project) == []
    assert trashed.folder.parent == project.trash and trashed.id.startswith("tiny-")
    assert trash.restore(project, trashed.id) == project.models / "tiny"
    assert find_entry(project, "tiny").note == "precious"
    assert find_entry(project, "tiny").runs == 1
    assert not (project.models / "tiny" / trash.LABEL).exists()
    assert trash.list_trash(project) == []


def test_a_model_in_the_trash_is_still_a_model(project: Project) -> None:
    trashed = trash.delete(project, "tiny")
    assert read_model(trashed.folder).parameters == 78400


def test_what_comes_back_to_a_taken_name_needs_another(project: Project) -> None:
    clone(project, "tiny", "copy")
    trashed = trash.delete(project, "tiny")
    rename(project, "copy", "tiny")
    with pytest.raises(UsageError) as caught:
        trash.restore(project, "tiny")
    assert f"restore {trashed.id} --as" in caught.value.fix
    trash.restore(project, "tiny", new_name="first")
    assert find_entry(project, "tiny").parent == "first"


def test_an_unsafe_name_comes_back_but_never_out_of_the_folder(project: Project) -> None:
    (project.models / "tiny").rename(project.models / "Tiny Größe")
    trashed = trash.delete(project, "Tiny Größe")
    assert trash.restore(project, trashed.id).name == "Tiny Größe"
    trashed = trash.delete(project, "Tiny Größe")
    label = trashed.folder / trash.LABEL
    for name in ("../../evil", "/etc/evil", ".trash", "", "a/b"):
        label.write_text(json.dumps({"kind": "model", "name": name, "time": 1.0}))
        with pytest.raises(UsageError):
            trash.restore(project, trashed.id)
    trash.restore(project, trashed.id, new_name="tiny")
    assert [entry.name for entry in list_models(project)] == ["tiny"]


def test_two_deletions_in_one_second_do_not_collide(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.library.trash.now", lambda: 1000.0)
    clone(project, "tiny", "copy")
    trash.delete(project, "tiny")
    rename(project, "copy", "tiny")
    trash.delete(project, "tiny")
    assert sorted(entry.id for entry in trash.list_trash(project)) == [
        "tiny-19700101T001640",
        "tiny-19700101T001640-1",
    ]


def test_the_trash_is_read_without_its_labels_too(project: Project) -> None:
    trashed = trash.delete(project, "tiny")
    (trashed.folder / trash.LABEL).write_text("{broken")
    assert trash.find_trashed(project, "tiny").id == trashed.id
    (project.trash / "stray").mkdir()
    assert {entry.label.name for entry in trash.list_trash(project)} == {"tiny", "stray"}


def test_emptying_removes_what_is_named_or_everything(project: Project) -> None:
    clone(project, "tiny", "copy")
    trash.delete(project, "tiny")
    trash.delete(project, "copy")
    with pytest.raises(UsageError):
        trash.empty(project, ["tiny", "no-such"])
    assert len(trash.list_trash(project)) == 2
    trash.empty(project, ["tiny"])
    assert [entry.label.name for entry in trash.list_trash(project)] == ["copy"]
    trash.empty(project)
    assert trash.list_trash(project) == []


def test_a_deleted_run_goes_and_comes_back_also_after_a_rename(project: Project) -> None:
    (run,) = runs_of(project)
    trashed = trash.delete_run(project, run.folder)
    assert runs_of(project) == [] and trashed.name == f"tiny/runs/{run.id}"
    rename(project, "tiny", "better")
    trash.restore(project, trashed.id)
    assert [found.id for found in runs_of(project, "better")] == [run.id]


def test_a_kept_replacement_shares_the_weights_and_survives_the_replaced_ones(project: Project) -> None:
    kept = trash.keep_replaced(project, "tiny", "replaced by a test")
    assert kept is not None and kept.label.kind == "version"
    weights = kept.folder / "model.safetensors"
    assert weights.stat().st_ino == (project.models / "tiny" / "model.safetensors").stat().st_ino
    restore_checkpoint(project, "tiny", "32")
    trash.restore(project, kept.id, new_name="before")
    assert sound(project, "before") and sound(project, "tiny")
    assert find_entry(project, "before").runs == 0


def test_nothing_is_kept_of_a_model_that_was_never_published(project: Project) -> None:
    assert trash.keep_replaced(project, "other", "") is None


@pytest.mark.parametrize("lock", [f"runs/{MODEL_LOCK}", "worker"])
def test_every_change_is_refused_while_a_run_holds_the_model(project: Project, lock: str) -> None:
    (run,) = runs_of(project)
    path = run.folder / WORKER_LOCK if lock == "worker" else project.models / "tiny" / lock
    with FileLock(path) as held:
        assert held.acquire()
        for work in (
            lambda: rename(project, "tiny", "better"),
            lambda: clone(project, "tiny", "better"),
            lambda: trash.delete(project, "tiny"),
            lambda: restore_checkpoint(project, "tiny", "32"),
            lambda: delete_checkpoint(project, "tiny", "32"),
        ):
            with pytest.raises(BusyError) as caught:
                work()
            assert caught.value.exit_code == 75
        assert set_note(project, "tiny", "said while it trains").note
        assert change_tags(project, "tiny", add=["live"]).tags == ("live",)
        assert sound(project, "tiny")
    assert [entry.name for entry in list_models(project)] == ["tiny"]


@pytest.mark.parametrize("name", [LOCK, WORKER_LOCK])
def test_a_run_that_is_going_is_not_deleted_but_another_one_is(project: Project, name: str) -> None:
    (run,) = runs_of(project)
    with FileLock(run.folder / name) as held, FileLock(run.folder.parent / MODEL_LOCK) as model:
        assert held.acquire() and model.acquire()
        with pytest.raises(BusyError, match="is going"):
            trash.delete_run(project, run.folder)
        held.release()
        assert trash.delete_run(project, run.folder).label.run == run.id


def test_of_many_renames_at_once_one_wins(project: Project) -> None:
    outcomes: list[str] = []

    def work(name: str) -> None:
        try:
            outcomes.append(rename(project, "tiny", name).name)
        except ForgeError:
            outcomes.append("")

    threads = [threading.Thread(target=work, args=(f"name{index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [name for name in outcomes if name]
    assert len(winners) == 1
    assert [entry.name for entry in list_models(project)] == winners


def test_notes_and_tags(project: Project) -> None:
    set_note(project, "tiny", "  first line\nsecond \x1b[31m line\n")
    change_tags(project, "tiny", add=["Keep", "größe"])
    entry = find_entry(project, "tiny")
    assert entry.note == "first line\nsecond \x1b[31m line"
    assert entry.tags == ("größe", "keep")
    assert change_tags(project, "tiny", remove=["KEEP"]).tags == ("größe",)
    assert set_note(project, "tiny", " ").note == ""
    for bad in ("", "two words", "a,b", "x" * 33, "\u202e"):
        with pytest.raises(UsageError):
            change_tags(project, "tiny", add=[bad])
    with pytest.raises(UsageError):
        set_note(project, "tiny", "x" * 5000)


def test_words_find_models(project: Project) -> None:
    change_tags(project, "tiny", add=["keep"])
    entry = find_entry(project, "tiny")
    assert entry.matches("KEEP tin") and entry.matches("qa.txt") and entry.matches("")
    assert not entry.matches("keep other")


def test_a_linked_model_is_not_moved_to_the_trash(project: Project, tmp_path: Path) -> None:
    (project.models / "tiny").rename(tmp_path / "elsewhere")
    (project.models / "tiny").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="link"):
        trash.delete(project, "tiny")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(project: Project) -> None:
    project.models.chmod(0o500)
    try:
        with pytest.raises(ForgeError, match="Cannot write here"):
            rename(project, "tiny", "better")
    finally:
        project.models.chmod(0o700)


def test_a_folder_without_a_model_cannot_be_shown(project: Project) -> None:
    (project.models / "nothing").mkdir()
    with pytest.raises(ModelError, match="holds no model"):
        find_entry(project, "nothing")
