"""Checkpoints: old or new but never half, whatever call fails, whatever byte changes."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.disk import Disk
from engine.errors import DiskFullError, ForgeError
from engine.training import checkpoint

WEIGHTS = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.ones(4)}
MOMENTS = {"exp_avg/a": torch.full((2, 3), 0.5), "step/a": torch.tensor(7.0)}


class PowerCut(BaseException):
    """The machine stops here."""


class FailingDisk(Disk):
    """Stops at the k-th call; a power cut also loses every file that was not synced by then."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.calls = 0
        self.written: set[Path] = set()
        self.synced: set[Path] = set()

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.stop_at:
            raise PowerCut

    def lose_unsynced(self) -> None:
        """What was never synced may be empty after the machine comes back."""
        for path in self.written - self.synced:
            if path.exists():
                path.write_bytes(b"")

    def make_folder(self, folder: Path) -> None:
        self._call()
        super().make_folder(folder)

    def write(self, path: Path, data: bytes) -> None:
        self._call()
        super().write(path, data)
        self.written.add(path)

    def write_tensors(self, path: Path, tensors: dict[str, object], metadata: dict[str, str]) -> None:
        self._call()
        super().write_tensors(path, tensors, metadata)
        self.written.add(path)

    def sync(self, path: Path) -> None:
        self._call()
        super().sync(path)
        self.synced.add(path)

    def sync_folder(self, folder: Path) -> None:
        self._call()
        super().sync_folder(folder)

    def rename(self, source: Path, target: Path) -> None:
        self._call()
        super().rename(source, target)
        # Names move with the files: what was unsynced under the old name is unsynced under the new one.
        self.written |= {target / p.name for p in self.written if p.parent == source}
        self.synced |= {target / p.name for p in self.synced if p.parent == source}

    def remove(self, folder: Path) -> None:
        self._call()
        super().remove(folder)


def save(folder: Path, step: int, disk: Disk | None = None, **extra: Any) -> checkpoint.Saved:
    trainer = {"step": step, "value": 0.1 + step}
    scaled = {name: value * step for name, value in WEIGHTS.items()}
    return checkpoint.save(folder, step, scaled, optimizer=MOMENTS, trainer=trainer, disk=disk, **extra)


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    saved = save(tmp_path, 3)
    loaded, skipped = checkpoint.load_newest(tmp_path)
    assert loaded is not None and not skipped
    assert loaded.step == 3 and loaded.path == saved.path
    assert checkpoint.same_tensors(loaded.weights, {name: value * 3 for name, value in WEIGHTS.items()})
    assert checkpoint.same_tensors(loaded.optimizer, MOMENTS)
    assert loaded.trainer == {"step": 3, "value": 3.1}


def count_calls(folder: Path) -> int:
    disk = FailingDisk()
    save(folder, 1, disk)
    return disk.calls


def test_a_power_cut_at_any_call_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    calls = count_calls(tmp_path / "count") if (tmp_path / "count").mkdir() is None else 0
    assert calls >= 9
    outcomes = set()
    for stop_at in range(1, calls + 1):
        folder = tmp_path / f"cut{stop_at}"
        folder.mkdir()
        save(folder, 1)
        disk = FailingDisk(stop_at)
        with pytest.raises(PowerCut):
            save(folder, 2, disk)
        disk.lose_unsynced()
        loaded, skipped = checkpoint.load_newest(folder)
        assert loaded is not None, stop_at
        assert not skipped, f"a half checkpoint has a good name after call {stop_at}"
        assert loaded.trainer["step"] == loaded.step
        outcomes.add(loaded.step)
        checkpoint.sweep(folder)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        save(folder, 3)
        assert checkpoint.load_newest(folder)[0].step == 3  # type: ignore[union-attr]
    assert outcomes == {1, 2}


def test_a_power_cut_while_saving_the_same_step_again_keeps_one_of_them(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    save(base, 1)
    probe = tmp_path / "probe"
    shutil.copytree(base, probe)
    disk = FailingDisk()
    save(probe, 1, disk)
    for stop_at in range(1, disk.calls + 1):
        folder = tmp_path / f"again{stop_at}"
        shutil.copytree(base, folder)
        with pytest.raises(PowerCut):
            save(folder, 1, FailingDisk(stop_at))
        checkpoint.sweep(folder)
        loaded, _ = checkpoint.load_newest(folder)
        assert loaded is not None and loaded.step == 1, stop_at


def test_a_power_cut_while_pruning_never_loses_the_newest(tmp_path: Path) -> None:
    for stop_at in range(1, 5):
        folder = tmp_path / f"prune{stop_at}"
        folder.mkdir()
        for step in (1, 2, 3):
            save(folder, step)
        with pytest.raises(PowerCut):
            checkpoint.prune(folder, keep=1, disk=FailingDisk(stop_at))
        loaded, skipped = checkpoint.load_newest(folder)
        assert loaded is not None and loaded.step == 3 and not skipped


FILES = ["model.safetensors", "optimizer.safetensors", "trainer.json", "MANIFEST.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "remove"])
def test_any_damage_falls_back_to_the_checkpoint_before_and_says_why(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2).path
    path = newest / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    elif damage == "truncate":
        path.write_bytes(bytes(data[:-1]))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    loaded, skipped = checkpoint.load_newest(tmp_path)
    if loaded is not None and loaded.step == 2:
        # A flipped byte inside a manifest's number of no consequence does not exist: sizes and sums are checked.
        assert name == "MANIFEST.json" and damage == "flip"
        return
    assert loaded is not None and loaded.step == 1
    assert [entry.name for entry in skipped] == ["step-00000002"]
    assert skipped[0].reason
    assert (tmp_path / "step-00000002.corrupt").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "trainer.json"])
def test_every_single_byte_flip_is_noticed(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 1).path / name
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 64)):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        path.write_bytes(bytes(flipped))
        with pytest.raises(ForgeError, match=name.split(".")[0]):
            checkpoint.verify(path.parent)
    path.write_bytes(data)
    checkpoint.verify(path.parent)


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Full(Disk):
        def free(self, folder: Path) -> int:
            return 1000

    save(tmp_path, 1)
    with pytest.raises(DiskFullError, match="MB"):
        save(tmp_path, 2, Full())
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize("stop_at", range(1, 14))
def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_one_whole(tmp_path: Path, stop_at: int) -> None:
    class Filling(FailingDisk):
        def _call(self) -> None:
            self.calls += 1
            if self.calls == self.stop_at:
                raise OSError(28, "No space left on device")

    save(tmp_path, 1)
    with contextlib.suppress(DiskFullError):
        save(tmp_path, 2, Filling(stop_at))
    loaded, skipped = checkpoint.load_newest(tmp_path)
    assert loaded is not None and not skipped
    assert loaded.step in (1, 2)


def test_retention_keeps_the_newest_the_best_and_the_budget(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, step)
    checkpoint.save(tmp_path, 2, WEIGHTS, optimizer=None, trainer={})
    assert checkpoint.prune(tmp_path, keep=3) == ["step-00000002", "step-00000001"]
    size = checkpoint.size_of(tmp_path / "step-00000005")
    checkpoint.prune(tmp_path, keep=3, budget_bytes=2 * size)
    assert [path.name for path in checkpoint.found(tmp_path)] == ["step-00000005"]
    checkpoint.prune(tmp_path, keep=1, budget_bytes=1)
    assert [path.name for path in checkpoint.found(tmp_path)] == ["step-00000005"]
    assert [path.name for path in checkpoint.found(tmp_path, "best")] == ["best-00000002"]


def test_a_pickle_in_the_folder_is_never_read(tmp_path: Path) -> None:
    path = save(tmp_path, 1).path
    (path / "optimizer.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'echo hacked'\ntR.")
    loaded, _ = checkpoint.load_newest(tmp_path)
    assert loaded is not None and loaded.step == 1
