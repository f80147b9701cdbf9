from __future__ import annotations

import json

import pytest

from engine.errors import ModelError, UsageError
from engine.library import trash
from engine.library.catalogue import find_entry
from engine.library.checkpoints import (
    delete_checkpoint,
    find_checkpoint,
    inspect_checkpoint,
    list_checkpoints,
)
from engine.library.disk_use import clean, disk_use
from engine.library.restoration import restore_checkpoint
from engine.library.verification import verify
from engine.model.info import read_model
from engine.model.loaded import load_model
from engine.project import Project
from engine.runs.state import runs_of, write_state


def test_the_list_has_steps_sizes_and_figures(project: Project) -> None:
    newest, older = list_checkpoints(project, "tiny")
    assert (newest.step, older.step) == (48, 32)
    assert newest.best and not older.best
    assert newest.val_bpb is not None and older.val_bpb is not None and newest.val_bpb < older.val_bpb
    assert newest.resumable and newest.bytes > 300_000 and newest.phase == "finished"
    assert json.loads(json.dumps(newest.to_dict()))["step"] == 48


@pytest.mark.parametrize(
    ("which", "step"), [("32", 32), ("step-00000032", 32), ("best", 48), ("newest", 48), ("48", 48)]
)
def test_a_checkpoint_is_found_by_many_names(project: Project, which: str, step: int) -> None:
    assert find_checkpoint(project, "tiny", which).step == step
    full = list_checkpoints(project, "tiny")[0].id
    assert find_checkpoint(project, "tiny", full).id == full


def test_one_that_is_not_there_is_said_with_those_that_are(project: Project) -> None:
    with pytest.raises(UsageError, match="step-00000048"):
        find_checkpoint(project, "tiny", "7")


def test_an_inspection_reads_every_byte(project: Project) -> None:
    checkpoint = find_checkpoint(project, "tiny", "32")
    told: list[int] = []
    found = inspect_checkpoint(checkpoint, told.append)
    assert not found.problem and found.tokens > 0 and "optimizer.safetensors" in found.files
    assert sum(told) == sum(found.files.values())
    weights = checkpoint.path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert "has changed since it was written" in inspect_checkpoint(checkpoint).problem


def test_an_unfinished_and_a_damaged_checkpoint_are_listed_as_such(project: Project) -> None:
    first, second = list_checkpoints(project, "tiny")
    (first.path / "MANIFEST.json").unlink()
    second.path.rename(second.path.with_name(second.name + ".corrupt"))
    problems = [entry.problem for entry in list_checkpoints(project, "tiny")]
    assert "never finished" in problems[0] and "set aside" in problems[1]
    with pytest.raises(ModelError, match="never finished"):
        restore_checkpoint(project, "tiny", "48")


def test_a_restored_checkpoint_is_the_model_and_the_old_one_is_in_the_trash(project: Project) -> None:
    before = find_entry(project, "tiny")
    checkpoint, kept = restore_checkpoint(project, "tiny", "32")
    entry = find_entry(project, "tiny")
    assert (entry.val_bpb, entry.lineage[-1].steps) == (checkpoint.val_bpb, 32)
    assert len(entry.lineage) == 1 and entry.lineage[0].run == checkpoint.run
    assert entry.data == before.data and entry.conversation
    assert all(finding.verdict == "good" for finding in verify(project, "tiny"))
    published, stored = load_model(entry.folder), load_model(checkpoint.path)
    for ours, theirs in zip(published.decoder.parameters(), stored.decoder.parameters(), strict=True):
        assert bool((ours == theirs).all())
    assert read_model(entry.folder).weights.metadata["forge"] == "1"
    assert kept is not None
    trash.restore(project, kept.id, new_name="old")
    assert find_entry(project, "old").weights_sha256 == before.weights_sha256


def test_transformers_opens_a_restored_checkpoint(project: Project) -> None:
    transformers = pytest.importorskip("transformers")
    restore_checkpoint(project, "tiny", "32")
    folder = project.models / "tiny"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("What is a loop?", return_tensors="pt")
    assert model(**ids).logits.shape[-1] == 320


def test_a_checkpoint_of_a_model_that_was_never_published_becomes_it(project: Project) -> None:
    folder = project.models / "tiny"
    for path in folder.iterdir():
        if path.is_symlink() and path.name != "runs":
            path.unlink()
    assert not find_entry(project, "tiny").published
    checkpoint, kept = restore_checkpoint(project, "tiny", "newest")
    assert kept is None
    entry = find_entry(project, "tiny")
    assert entry.loadable and entry.lineage[-1].action == "build" and entry.conversation
    assert entry.lineage[-1].steps == checkpoint.step == 48


def test_a_deleted_checkpoint_is_gone(project: Project) -> None:
    delete_checkpoint(project, "tiny", "48")
    assert [entry.step for entry in list_checkpoints(project, "tiny")] == [32]
    assert not [path for path in (runs_of(project)[0].folder / "checkpoints").iterdir() if path.name.startswith(".")]


def test_verification_names_what_is_damaged(project: Project) -> None:
    weights = (project.models / "tiny" / "model.safetensors").resolve()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    tokenizer = (project.models / "tiny" / "tokenizer.json").resolve()
    tokenizer.write_text(tokenizer.read_text().replace('"vocab"', '"vocab" ', 1))
    broken = list_checkpoints(project, "tiny")[1]
    (broken.path / "trainer.json").unlink()
    found = {finding.part: finding for finding in verify(project, "tiny")}
    assert found["weights"].verdict == "bad" and "digest" in found["weights"].text
    assert found["tokenizer"].verdict == "good"  # the same content, laid out otherwise
    assert found[broken.id].verdict == "bad" and "trainer.json is missing" in found[broken.id].text
    assert all(finding.fix for finding in found.values() if finding.verdict == "bad")


def test_verification_counts_its_bytes(project: Project) -> None:
    told: list[tuple[int, int]] = []
    verify(project, "tiny", lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 2_000_000
    assert told == sorted(told)


def test_disk_use_adds_up_and_cleaning_frees_it(project: Project) -> None:
    clone_of = trash.keep_replaced(project, "tiny", "a test")
    assert clone_of is not None
    (project.models / ".new-left").mkdir()
    (project.models / ".new-left" / "half").write_bytes(b"x" * 9000)
    use = disk_use(project)
    (model,) = use.models
    assert model.published > 300_000 and model.checkpoints > 1_800_000 and use.cache > 0
    assert use.trash < 20_000, "its weights are the model's own"
    kinds = {entry.kind: entry for entry in use.reclaimable}
    assert set(kinds) == {"trash", "checkpoints", "cache", "leftovers"}
    assert [entry.bytes for entry in use.reclaimable] == sorted((e.bytes for e in use.reclaimable), reverse=True)
    freed, kept = clean(project, use.reclaimable)
    assert kept == [] and freed > 1_800_000
    after = disk_use(project)
    assert after.reclaimable == () and after.total < use.total - freed + 20_000
    assert all(finding.verdict == "good" for finding in verify(project, "tiny"))


def test_checkpoints_of_a_run_that_could_go_on_are_not_offered(project: Project) -> None:
    from dataclasses import replace

    (run,) = runs_of(project)
    write_state(run.folder, replace(run.state, phase="stopped"))
    assert "checkpoints" not in {entry.kind for entry in disk_use(project).reclaimable}
