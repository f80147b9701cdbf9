"""A checkpoint made the model: its weights are published as a run publishes them, without torch."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

from engine.errors import ForgeError, ModelError
from engine.library.about import now
from engine.library.checkpoints import Checkpoint, find_checkpoint
from engine.library.clone import check_space
from engine.library.names import find_folder
from engine.library.shelf import library_lock, model_lock
from engine.library.trash import Trashed, keep_files
from engine.model.architecture import Architecture
from engine.model.card import CARD_FILE, README_FILE, Ancestor, DataFile, ModelCard
from engine.model.generation_config import generation_config
from engine.model.info import CONFIG_FILE, GENERATION_FILE, read_model
from engine.model.json_file import read_json
from engine.model.stamped_weights import copy_weights
from engine.model.versions import publish
from engine.model.weights import WEIGHTS_FILE, read_header
from engine.project import Project
from engine.runs import manifest
from engine.runs.launch import Request, read_request
from engine.runs.state import read_run
from engine.sizes import name_of
from engine.text.formats import read_documents


def restore_checkpoint(project: Project, name: str, which: str) -> tuple[Checkpoint, Trashed | None]:
    """Publish the weights of a checkpoint as the model; what was published before goes to the trash.

    Args:
        project: Where.
        name: The model.
        which: As in `find_checkpoint`.

    Returns:
        The checkpoint, and what was replaced, if anything was.

    Raises:
        UsageError: no such model or checkpoint.
        BusyError: a run holds the model.
        ModelError: the checkpoint is damaged; nothing has changed.
        DiskFullError: no space; the published model is as it was.
    """
    with library_lock(project):
        folder = find_folder(project, name)
        with model_lock(folder):
            checkpoint = find_checkpoint(project, folder.name, which)
            try:
                manifest.verify(checkpoint.path, leave_out=(manifest.OPTIMIZER,))
            except ForgeError as error:
                raise ModelError(
                    f"{checkpoint.id} cannot be used: {error.text}.", file=checkpoint.path, fix="Choose another one."
                ) from None
            check_space(folder, checkpoint.bytes)
            card = _card(folder, checkpoint)
            kept = keep_files(project, folder, f"replaced by checkpoint {checkpoint.id}")
            publish(folder, lambda place: _write(place, checkpoint, card))
    return checkpoint, kept


def _write(place: Path, checkpoint: Checkpoint, card: ModelCard) -> None:
    """Every file of the model into a new folder."""
    from engine.text.tokenizer import Tokenizer

    source = checkpoint.path
    tokenizer = Tokenizer.load(source)
    architecture = Architecture.from_config(read_json(source / CONFIG_FILE), str(source / CONFIG_FILE))
    ends = (tokenizer.end_of_text, tokenizer.turn_end)
    dtype = read_header(source / WEIGHTS_FILE).dtype
    config = architecture.to_config(dtype=dtype, eos=ends, pad=tokenizer.end_of_text)
    (place / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    generation = generation_config(ends, tokenizer.end_of_text)
    (place / GENERATION_FILE).write_text(json.dumps(generation, indent=2) + "\n")
    tokenizer.save(place, context=architecture.context)
    metadata = {"format": "pt", "forge": "1", "step": str(checkpoint.step), "run": checkpoint.run}
    digest = copy_weights(source / WEIGHTS_FILE, place / WEIGHTS_FILE, metadata)
    card = replace(
        card,
        size=name_of(architecture.dimensions),
        parameters=architecture.parameters(),
        vocabulary=architecture.vocabulary,
        context=architecture.context,
        tokenizer_hash=tokenizer.hash,
        weights_sha256=digest,
    )
    (place / README_FILE).write_text(card.readme(), encoding="utf-8")
    (place / CARD_FILE).write_bytes(card.to_json())


def _card(folder: Path, checkpoint: Checkpoint) -> ModelCard:
    """The record of the model as that checkpoint: its history is the one before the run, and the run up to here."""
    run = read_run(checkpoint.path.parents[1])
    request = read_request(run.folder)
    published = _published_card(folder)
    before = () if published is None or request.job.train.method == "build" else published.lineage
    earlier = tuple(step for step in before if step.run != run.id and step.time <= run.state.created)
    noted = manifest.read_trainer(checkpoint.path)
    tokens = noted.get("tokens")
    tokens = tokens if isinstance(tokens, int) else 0
    step = Ancestor(
        action=request.job.train.method if earlier else "build",
        time=checkpoint.saved,
        run=run.id,
        size=run.state.size,
        parameters=run.state.parameters,
        steps=checkpoint.step,
        tokens=tokens,
        val_bpb=checkpoint.val_bpb,
        note="restored from its checkpoint",
    )
    epochs = checkpoint.step / run.state.steps * run.state.epochs if run.state.steps else 0.0
    return ModelCard(
        name=folder.name,
        created=published.created if published and earlier else run.state.created,
        updated=now(),
        run=run.id,
        step=checkpoint.step,
        epochs=epochs,
        tokens=tokens + sum(step.tokens for step in earlier),
        conversation=published.conversation if published else _converses(request, folder.parents[1]),
        data=_data(request, folder.parents[1]),
        metrics={} if checkpoint.val_bpb is None else {"val_bpb": checkpoint.val_bpb},
        lineage=(*earlier, step),
        software=published.software if published else "",
    )


def _published_card(folder: Path) -> ModelCard | None:
    try:
        return read_model(folder).card
    except ForgeError:
        return None  # nothing is published yet, or it is what is to be replaced because it is damaged


def _converses(request: Request, root: Path) -> bool:
    """Whether the run's data hold conversations; true when they are gone, as for most models."""
    formats = {entry.path: entry.format for entry in request.job.all_files}
    seen = False
    for path in request.data:
        try:
            for document in itertools.islice(read_documents(root / path, formats.get(path, "auto")), 20):
                seen = True
                if not document.is_prose:
                    return True
        except ForgeError:
            continue
    return not seen


def _data(request: Request, root: Path) -> tuple[DataFile, ...]:
    def size(path: str) -> int:
        try:
            return (root / path).stat().st_size
        except OSError:
            return 0

    return tuple(DataFile(path=path, sha256=digest, bytes=size(path)) for path, digest in request.data.items())
