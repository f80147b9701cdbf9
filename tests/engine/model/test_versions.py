from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import DiskFullError, ForgeError, ModelError
from engine.model.architecture import Architecture
from engine.model.card import ModelCard
from engine.model.folder import load_decoder, write_model_files
from engine.model.versions import publish
from engine.text.tokenizer import Tokenizer
from tests.engine.model.conftest import lively

NAMES = ("config.json", "model.safetensors", "forge.json")


def writer(text: str, names: tuple[str, ...] = NAMES) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in names:
            (folder / name).write_text(text)

    return write


def contents(folder: Path) -> dict[str, str]:
    """What a reader finds, by name."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_a_new_version_replaces_the_old_one_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    publish(folder, writer("one", (*NAMES, "old.json")))
    (folder / "notes.txt").write_text("mine")
    version = publish(folder, writer("two"))
    assert contents(folder) == {"notes.txt": "mine"} | dict.fromkeys(NAMES, "two")
    assert [path.name for path in (folder / ".versions").iterdir()] == [version.name]
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == [".current", ".versions"]


def test_the_folder_can_be_renamed_and_copied(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    publish(folder, writer("one"))
    folder = folder.rename(tmp_path / "renamed")
    kept, followed = tmp_path / "kept", tmp_path / "followed"
    shutil.copytree(folder, kept, symlinks=True)
    shutil.copytree(folder, followed)
    shutil.rmtree(folder)
    for copy in (kept, followed):
        assert contents(copy) == dict.fromkeys(NAMES, "one")
        publish(copy, writer("two"))
        assert contents(copy) == dict.fromkeys(NAMES, "two")
        assert len(list((copy / ".versions").iterdir())) == 1


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ModelError("no numbers"), KeyboardInterrupt()]
)
def test_a_writer_that_fails_leaves_the_old_version(tmp_path: Path, error: BaseException) -> None:
    folder = tmp_path / "m"
    publish(folder, writer("one"))

    def fail(to: Path) -> None:
        writer("two")(to)
        raise error

    with pytest.raises(DiskFullError if isinstance(error, OSError) else type(error)):
        publish(folder, fail)
    assert contents(folder) == dict.fromkeys(NAMES, "one")
    assert len(list((folder / ".versions").iterdir())) == 1


def test_nothing_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="without files"):
        publish(tmp_path / "m", lambda to: None)


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    publish(folder, writer("one"))
    (folder / "extra.json").mkdir()
    with pytest.raises(ModelError, match="A folder stands"):
        publish(folder, writer("two", (*NAMES, "extra.json")))
    assert contents(folder) == dict.fromkeys(NAMES, "one")


def test_a_folder_that_cannot_be_written_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForgeError, match="file"):
        publish(tmp_path / "file" / "m", writer("one"))


def test_without_links_files_are_moved_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    moved: list[str] = []
    plain = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (moved.append(self.name), plain(self, to))[1])
    folder = tmp_path / "m"
    publish(folder, writer("one"))
    assert moved[-1] == "forge.json"
    publish(folder, writer("two"))
    assert contents(folder) == dict.fromkeys(NAMES, "two")
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert list((folder / ".versions").iterdir()) == []


def _versioned(folder: Path) -> None:
    publish(folder, writer("one"))


def _plain(folder: Path) -> None:
    folder.mkdir()
    writer("one", (*NAMES, "model-00001-of-00002.safetensors"))(folder)


def _mixed(folder: Path) -> None:
    """A program that replaces files instead of writing through links."""
    publish(folder, writer("one"))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_text("one")


def _followed(folder: Path) -> None:
    publish(folder.with_name("source"), writer("one"))
    shutil.copytree(folder.with_name("source"), folder)


def _half_followed(folder: Path) -> None:
    """A copy in which the links to folders were followed, those to files not."""
    publish(folder, writer("one"))
    real = (folder / ".current").resolve()
    (folder / ".current").unlink()
    shutil.copytree(real, folder / ".current")


def _crash_at(step: int, action: Callable[[], object]) -> bool:
    """Run in a child that dies like a killed process at its n-th change of the disk; whether it got through."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            changes = event in ("os.rename", "os.symlink", "os.link", "os.mkdir", "os.remove", "os.rmdir")
            if changes or (event == "open" and str(arguments[1]).startswith("w")):
                count += 1
                if count == step:
                    os._exit(9)

        sys.addaudithook(hook)
        try:
            action()
        except BaseException:  # noqa: BLE001  the child must never return into pytest
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 0


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [_versioned, _plain, _mixed, _followed, _half_followed])
def test_killed_at_any_moment_all_files_are_of_one_version(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    outcomes = set()
    for step in range(1, 200):
        folder = tmp_path / str(step) / "m"
        folder.parent.mkdir()
        prepare(folder)
        finished = _crash_at(step, lambda folder=folder: publish(folder, writer("two")))  # type: ignore[misc]
        found = {name: (folder / name).read_text() for name in NAMES}
        assert set(found.values()) in ({"one"}, {"two"}), (step, found)
        outcomes.add(found["config.json"])
        publish(folder, writer("three"))
        after = contents(folder)
        assert after == dict.fromkeys(NAMES, "three"), (step, after)
        assert len(list((folder / ".versions").iterdir())) == 1
        assert not [path for path in folder.iterdir() if path.name.startswith(".2")]
        if finished:
            break
    assert finished and outcomes == {"one", "two"}


def test_killed_while_the_first_version_is_written_there_is_a_whole_model_or_none(tmp_path: Path) -> None:
    for step in range(1, 100):
        folder = tmp_path / str(step)
        finished = _crash_at(step, lambda folder=folder: publish(folder, writer("one")))  # type: ignore[misc]
        if (folder / "config.json").exists():
            assert {name: (folder / name).read_text() for name in NAMES} == dict.fromkeys(NAMES, "one")
        if finished:
            break
    assert finished


def test_a_reader_sees_one_version_while_others_are_published(
    tmp_path: Path, tokenizer: Tokenizer, architecture: Architecture
) -> None:
    shapes = [replace(architecture, ffn=64), replace(architecture, ffn=128)]
    decoders = [lively(shape) for shape in shapes]
    folder = tmp_path / "m"

    def put(turn: int) -> None:
        shape, decoder = shapes[turn % 2], decoders[turn % 2]
        publish(folder, lambda to: write_model_files(to, decoder, shape, tokenizer, ModelCard(name="m", step=turn)))

    put(0)
    done = threading.Event()
    failures: list[BaseException] = []
    loads = [0]

    def read() -> None:
        while not done.is_set():
            try:
                load_decoder(folder)
                loads[0] += 1
            except BaseException as error:  # noqa: BLE001  reported below
                failures.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, 30):
        put(turn)
    done.set()
    reader.join()
    assert not failures, failures
    assert loads[0] > 3
