"""When and how a run's checkpoints are written, restored and thrown away."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import torch

from engine.disk import Disk
from engine.errors import DiskFullError, ForgeError, ModelError
from engine.events import Advice, Checkpoint, Resumed
from engine.model.names import from_hf, to_hf
from engine.training import checkpoint
from engine.training.progress import Progress
from engine.training.step import tensors

if TYPE_CHECKING:
    from torch import Tensor

    from engine.model.architecture import Architecture
    from engine.runs.channel import Reporter
    from engine.training.prepare import Prepared
    from engine.training.trainer import Trainer

Reason = Literal["schedule", "time", "best", "pause", "stop", "command", "signal", "end", "orphan"]
FOLDER = "checkpoints"


class Keeper:
    """Keeps the checkpoints of one run."""

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self._prepared = prepared
        self._report = report
        self.folder = prepared.run / FOLDER
        self.folder.mkdir(exist_ok=True)
        checkpoint.sweep(self.folder)
        self._saved_at = time.monotonic()
        self._saved: tuple[int, float] | None = None
        self._last_bytes = 0

    @property
    def latest(self) -> str:
        """The newest checkpoint relative to the run's folder, or an empty string."""
        newest = checkpoint.found(self.folder)
        return f"{FOLDER}/{newest[0].name}" if newest else ""

    # ---- saving

    def save_by_clock(self, trainer: Trainer) -> None:
        """Save when the last save is longer ago than the job allows."""
        if time.monotonic() - self._saved_at >= 60 * self._prepared.job.train.save_minutes:
            self.save(trainer, "time")

    def save(self, trainer: Trainer, reason: Reason, *, must: bool = False) -> bool:
        """Write a full checkpoint of where the trainer stands; False when there was no space (said by an event).

        Args:
            trainer: Between two steps.
            reason: Why, for the event.
            must: Raise instead of going on without.

        Raises:
            DiskFullError: no space, and it must be.
        """
        progress = trainer.progress
        if self._saved == (progress.step, progress.rate_scale):
            return True
        trainer.pace.restart()
        progress.seconds, trainer.started = trainer.seconds, time.monotonic()
        progress.probe_loss = self._probe(trainer)
        progress.scaler = trainer.scaler.state_dict() or None
        train = self._prepared.job.train
        budget = None if train.checkpoint_budget == "auto" else int(train.checkpoint_budget * 1e9)
        expected = self._last_bytes or self._prepared.plan.checkpoint_bytes
        # Room is made before the save, but never at the cost of the only good one.
        checkpoint.prune(self.folder, keep=max(1, train.keep_checkpoints - 1), budget_bytes=budget, room_for=expected)
        try:
            saved = checkpoint.save(
                self.folder,
                progress.step,
                to_hf(trainer.average.tensors(), self._prepared.architecture),
                optimizer=trainer.optimizer.tensors() | _present(trainer),
                trainer=progress.dump(),
                extras=self._write_extras,
                expected_bytes=expected,
            )
        except DiskFullError as error:
            if must:
                raise
            self._say_full(error)
            return False
        except ForgeError as error:
            if must:
                raise
            self._say_full(error)
            return False
        finally:
            self._saved_at = time.monotonic()
            trainer.pace.other("save")
        self._saved, self._last_bytes = (progress.step, progress.rate_scale), saved.bytes
        best = progress.best_bpb is not None and progress.best_step == progress.step
        if best and progress.step >= trainer.course.steps:
            self._forget_best(())
        self._report(
            Checkpoint(
                path=f"{FOLDER}/{saved.path.name}",
                step=saved.step,
                bytes=saved.bytes,
                reason=reason,
                best=best,
                seconds=round(saved.seconds, 3),
            )
        )
        return True

    def save_best(self, trainer: Trainer) -> None:
        """Keep the weights with the lowest validation loss so far."""
        progress = trainer.progress
        trainer.pace.restart()
        try:
            saved = checkpoint.save(
                self.folder,
                progress.step,
                to_hf(trainer.average.tensors(), self._prepared.architecture),
                optimizer=None,
                trainer={"step": progress.step, "val_bpb": progress.best_bpb},
                extras=self._write_extras,
            )
        except ForgeError as error:
            self._say_full(error)
            return
        finally:
            trainer.pace.other("save best")
        self._forget_best((saved.path,))
        self._report(
            Checkpoint(
                path=f"{FOLDER}/{saved.path.name}",
                step=saved.step,
                bytes=saved.bytes,
                reason="best",
                best=True,
                seconds=round(saved.seconds, 3),
            )
        )

    def _forget_best(self, kept: tuple[Path, ...]) -> None:
        """Remove the weights of earlier best steps: better ones are on disk now."""
        for older in checkpoint.found(self.folder, "best"):
            if older not in kept:
                checkpoint.discard(older, Disk())

    def _probe(self, trainer: Trainer) -> float | None:
        """Loss of the next step's first micro-batch: what a resume must find again, bit for bit."""
        if trainer.progress.step >= trainer.course.steps:
            return None
        batch = trainer.course.batches(trainer.progress.step, 1)[0]
        with torch.no_grad(), self._prepared.placement.autocast():
            return float(trainer.decoder.loss(*tensors(batch, trainer.placement.device)))

    def _write_extras(self, folder: Path) -> None:
        """What makes the checkpoint a model folder that other tools open."""
        self._prepared.tokenizer.save(folder)
        config = self._prepared.architecture.to_config()
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    def _say_full(self, error: ForgeError) -> None:
        self._report(
            Advice(
                code="disk_full" if isinstance(error, DiskFullError) else "save_failed",
                severity="error",
                text=f"The checkpoint was not saved, training goes on: {error.text}",
                fix=error.fix or "See worker.log.",
            )
        )

    # ---- restoring

    def restore(self, trainer: Trainer) -> Resumed | None:
        """Put the trainer where the newest whole checkpoint was; None when there is none."""
        loaded, skipped = checkpoint.load_newest(self.folder)
        for entry in skipped:
            self._report(
                Advice(
                    code="checkpoint_damaged",
                    severity="warning",
                    text=f"{entry.name} was not used: {entry.reason}. It is kept as {entry.name}.corrupt.",
                )
            )
        if loaded is None:
            return None
        try:
            _put_back(trainer, loaded, self._prepared.architecture)
            trainer.progress = Progress.restore(loaded.trainer)
        except (ModelError, ValueError, KeyError, msgspec.ValidationError) as error:
            raise ForgeError(
                f"This checkpoint belongs to another model: {str(error).rstrip('.')}.",
                file=loaded.path,
                fix="Start a new run with --force.",
            ) from error
        if trainer.progress.scaler:
            trainer.scaler.load_state_dict(trainer.progress.scaler)
        trainer.decoder.activation_checkpointing = trainer.progress.activation_checkpointing
        self._saved = (trainer.progress.step, trainer.progress.rate_scale)
        return Resumed(from_step=loaded.step, checkpoint=f"{FOLDER}/{loaded.path.name}", text=self._verified(trainer))

    def _verified(self, trainer: Trainer) -> str:
        """Compare the recomputed probe loss with the recorded one, in words."""
        recorded = trainer.progress.probe_loss
        if recorded is None:
            return ""
        present = self._probe(trainer)
        if present == recorded:
            return f"Verified: the loss of the next batch is {recorded:.6f} again, bit for bit."
        return (
            f"The loss of the next batch was {recorded:.6f} and is {present:.6f} now: torch, the processor or the "
            "number of threads has changed, so the run goes on correctly but not bit for bit."
        )


PRESENT = "present/"
"""What the weights of the step itself are called beside the optimizer's state: the file that other tools open holds the
averaged ones, which are the better model."""


def _present(trainer: Trainer) -> dict[str, Tensor]:
    if not trainer.average.differs:
        return {}
    return {PRESENT + name: tensor for name, tensor in trainer.decoder.state_dict().items()}


def _put_back(trainer: Trainer, loaded: checkpoint.Loaded, architecture: Architecture) -> None:
    """Load weights, averages and the optimizer's state.

    Raises:
        ModelError: the weights are of another architecture.
        ValueError: the state is of another model or optimizer.
    """
    averaged = from_hf(loaded.weights, architecture)
    present = {name.removeprefix(PRESENT): t for name, t in loaded.optimizer.items() if name.startswith(PRESENT)}
    state = {name: tensor for name, tensor in loaded.optimizer.items() if not name.startswith(PRESENT)}
    if trainer.average.differs and present.keys() != averaged.keys():
        raise ValueError("the weights beside the averaged ones are of another model")
    trainer.decoder.load_state_dict(present if trainer.average.differs else averaged)
    trainer.average.load_tensors(averaged)
    trainer.optimizer.load_tensors(state)
