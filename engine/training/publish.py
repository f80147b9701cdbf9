"""The end of a run: the best weights become the model that everybody sees, as a whole and at once."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DivergedError, ForgeError
from engine.events import Advice, Done, Log
from engine.model.card import Ancestor, DataFile, ModelCard
from engine.training import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from engine.model.gguf import GgufKind
    from engine.training.trainer import Trainer


def publish_run(trainer: Trainer, *, early: bool) -> Done:
    """Publish the best weights of a finished run into its model folder; returns the final event.

    Raises:
        DivergedError: nothing better than the untrained model was ever seen.
        DiskFullError: no space; the published model is as it was.
    """
    prepared, progress = trainer.prepared, trainer.progress
    folder = prepared.project.model(prepared.job.model.name)
    done = Done(
        val_bpb=progress.best_bpb,
        best_step=progress.best_step if progress.best_bpb is not None else progress.step,
        seconds=round(trainer.seconds, 2),
        tokens=progress.tokens,
        path=prepared.project.relative(folder),
        early_stopped=early,
        untrained_bpb=progress.untrained_bpb,
    )
    if progress.best_bpb is not None and progress.best_step == 0:
        trainer.report(
            Advice(
                code="no_gain",
                severity="warning",
                text="No step predicted the held-out text better than the model did before: it is left as it was.",
                fix="Try a lower learning_rate, fewer epochs, or more data.",
            )
        )
        return done
    if _is_worse_than_untrained(trainer):
        raise DivergedError(
            f"The trained model is no better than an untrained one ({progress.best_bpb:.3f} bits per byte).",
            fix="Use a lower learning_rate, and check the data with `forge-tui check`.",
        )
    weights = _best_weights(trainer)
    write_model(trainer, weights, folder, done)
    return done


def _is_worse_than_untrained(trainer: Trainer) -> bool:
    best, untrained = trainer.progress.best_bpb, trainer.progress.untrained_bpb
    if best is None or untrained is None or trainer.prepared.start is not None:
        return False
    return not math.isfinite(best) or best >= untrained


def _best_weights(trainer: Trainer) -> dict[str, Tensor]:
    """Weights by Hugging Face name: of the best evaluation where there was one, else the last."""
    from engine.model.names import to_hf

    progress = trainer.progress
    if progress.best_bpb is not None and progress.best_step != progress.step:
        loaded, skipped = checkpoint.load_newest(trainer.keeper.folder, "best")
        if loaded is not None and loaded.step == progress.best_step:
            return loaded.weights
        reason = skipped[0].reason if skipped else "it is not there"
        trainer.report(
            Advice(
                code="best_lost",
                severity="warning",
                text=f"The weights of the best step {progress.best_step:,} cannot be used ({reason}): "
                "the last ones are published.",
            )
        )
    return to_hf(trainer.average.tensors(), trainer.prepared.architecture)


def write_model(trainer: Trainer, weights: dict[str, Tensor], folder: Path, done: Done) -> None:
    """Publish weights, tokenizer and card into `folder`, then what [export] asks for.

    Raises:
        DiskFullError: no space; the published model is as it was.
    """
    from engine.model.folder import write_model_files
    from engine.model.names import from_hf
    from engine.model.versions import publish

    prepared = trainer.prepared
    state = from_hf(weights, prepared.architecture)
    card = _card(trainer, done)

    def write(target: Path) -> None:
        write_model_files(target, state, prepared.architecture, prepared.tokenizer, card)

    if prepared.request.replace:
        from engine.library.trash import keep_replaced

        keep_replaced(prepared.project, folder.name, f"replaced by run {prepared.run.name}")
    publish(folder, write)
    for kind in prepared.job.export.gguf:
        _export_gguf(trainer, folder, kind)


def _card(trainer: Trainer, done: Done) -> ModelCard:
    prepared, progress = trainer.prepared, trainer.progress
    now = time.time()
    before = prepared.start.card if prepared.start is not None else None
    step = Ancestor(
        action=prepared.job.train.method if prepared.start is not None else "build",
        time=now,
        run=prepared.run.name,
        size=prepared.plan.size,
        parameters=prepared.plan.parameters,
        steps=progress.step,
        tokens=progress.tokens,
        val_bpb=done.val_bpb,
    )
    metrics = {"val_bpb": done.val_bpb, "untrained_bpb": done.untrained_bpb, "seconds": done.seconds}
    return ModelCard(
        name=prepared.job.model.name,
        created=before.created if before else now,
        updated=now,
        run=prepared.run.name,
        step=done.best_step,
        epochs=float(trainer.course.epochs * done.best_step / trainer.course.steps),
        tokens=progress.tokens + (before.tokens if before else 0),
        conversation=prepared.conversation,
        data=_data_files(trainer),
        metrics={name: value for name, value in metrics.items() if value is not None},
        lineage=(*(before.lineage if before else ()), step),
    )


def _data_files(trainer: Trainer) -> tuple[DataFile, ...]:
    root = trainer.prepared.project.root
    return tuple(
        DataFile(path=path, sha256=digest, bytes=(root / path).stat().st_size if (root / path).exists() else 0)
        for path, digest in trainer.prepared.request.data.items()
    )


def _export_gguf(trainer: Trainer, folder: Path, kind: GgufKind) -> None:
    """Write one GGUF file beside the model; a failure is said and does not undo the training."""
    from engine.model.gguf import write_gguf, write_modelfile

    path = folder / f"{folder.name}-{kind.upper()}.gguf"
    try:
        report = write_gguf(folder, path, kind)
        write_modelfile(folder, path)
    except ForgeError as error:
        trainer.report(
            Advice(code="export_failed", severity="error", text=f"No {kind} GGUF: {error.text}", fix=error.fix)
        )
        return
    trainer.report(
        Log(text=f"Wrote {path.name}: {path.stat().st_size / 1e6:.1f} MB, {report.tensors} tensors compared.")
    )
