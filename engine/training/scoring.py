"""How well a published model predicts a text: measured anew, not read from its record."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine.errors import DataError, UsageError
from engine.events import Event, Log
from engine.job import DataFile
from engine.job_file import load_job
from engine.model.folder import load_decoder
from engine.model.info import ModelInfo, read_model
from engine.processor import physical_cores
from engine.project import Project
from engine.runs.task import Tell
from engine.text.dataset import build
from engine.text.epoch import EpochOrder
from engine.text.tokenizer import Tokenizer
from engine.training.devices import Placement
from engine.training.evaluate import score
from engine.training.prepare import JOB
from engine.training.reading import read_corpora

ROWS = 8
"""Rows scored at once."""
LONGEST_ROW = 2048
"""Tokens; more context hardly changes the score, but costs memory."""


def score_model(tell: Tell, *, root: str, name: str, files: list[str] | None) -> dict[str, Any]:
    """Score a published model.

    Args:
        tell: Gets narration.
        root: The project.
        name: The model.
        files: Texts to score it on, every document of them; None for what was held out from its training.

    Returns:
        `bits_per_byte`, `loss` (nats per token), `tokens`, `text_bytes`, `documents`, `seconds`, and `recorded`: what
        the model's own record says, or None.

    Raises:
        ForgeError: the model or the data cannot be used.
    """
    project = Project(Path(root))
    info = read_model(project.model(name))
    tokenizer = Tokenizer.load(info.folder)
    if files is None:
        orders, documents = _held_out(project, info, tokenizer, tell)
    else:
        corpus = build([DataFile(path) for path in files], tokenizer, project.cache / "tokens", validation=0, seed=0)
        orders = [corpus.epoch(0, sequence_length=min(info.architecture.context, LONGEST_ROW), seed=0)]
        documents = corpus.train_documents
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(physical_cores())
    decoder, _ = load_decoder(info.folder, device=device, dtype="float32")
    tell(f"Scoring {documents:,} documents on {device}.")
    placement = Placement(device, "fp32", torch.get_num_threads(), "", "", "")  # type: ignore[arg-type]
    began = time.monotonic()
    found = score(decoder.eval(), orders, placement, rows=ROWS)
    if found is None:
        raise DataError("There is no text to score.", fix="Name a file: --data FILE.")
    recorded = info.card.metrics.get("val_bpb") if info.card is not None and files is None else None
    return asdict(found) | {
        "documents": documents, "seconds": round(time.monotonic() - began, 2), "recorded": recorded,
    }  # fmt: skip


def _held_out(project: Project, info: ModelInfo, tokenizer: Tokenizer, tell: Tell) -> tuple[list[EpochOrder], int]:
    """What the run that made the model held out, in its rows, and how many documents that are.

    Raises:
        UsageError: that run is not there any more.
    """
    run = info.card.run if info.card is not None else ""
    file = project.runs(info.folder.name) / run / JOB
    if not run or not file.is_file():
        raise UsageError("What was held out from this model is not known here.", fix="Name a file: --data FILE.")
    job = load_job(file)

    def report(event: Event) -> None:
        if isinstance(event, Log):
            tell(event.text)

    corpora = read_corpora(project, job, tokenizer, report)  # type: ignore[arg-type]
    length = job.train.sequence_length
    assert length != "auto", "job.toml is resolved"
    orders = [corpus.validation_rows(length) for corpus in corpora if corpus.validation_possible]
    return orders, sum(len(corpus.scored) for corpus in corpora)
