"""From files to tokens: the tokenizer of a run, and the corpora of its stages."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.errors import DataError
from engine.events import Advice, Log
from engine.job import DataFile, Job
from engine.project import Project
from engine.text.sanitize import one_line
from engine.training.waiting import Waiting

if TYPE_CHECKING:
    from engine.model.info import ModelInfo
    from engine.runs.channel import Reporter
    from engine.text.conversation import Document
    from engine.text.dataset import Corpus
    from engine.text.tokenizer import Tokenizer

TOKENIZER = "tokenizer"
HARMLESS = ("comment", "duplicate")
"""Text that is left out on purpose."""
SPLIT_SEED = 0
"""One for all runs: continuing a model with another seed must not train on what it was validated on."""


def settle_tokenizer(run: Path, project: Project, job: Job, start: ModelInfo | None, reporter: Reporter) -> Tokenizer:
    """The model's own tokenizer, the one this run has built before, or a new one."""
    from engine.text.tokenizer import Tokenizer, suggest_vocabulary, training_texts

    if start is not None:
        return Tokenizer.load(start.folder)
    if (run / TOKENIZER / "tokenizer.json").exists():
        return Tokenizer.load(run / TOKENIZER)
    size = sum(path.stat().st_size for entry in job.all_files for path in paths_of(project, entry))
    asked = job.model.vocabulary
    vocabulary = suggest_vocabulary(size)[0] if asked == "auto" else asked
    reporter(Log(text=f"Building a tokenizer of {vocabulary:,} tokens from {size / 1e6:.2f} MB of text."))
    tokenizer = Tokenizer.train(training_texts(_to_learn_from(project, job, size), text_bytes=size), vocabulary)
    if tokenizer.vocabulary < vocabulary and asked != "auto":
        reporter(
            Advice(
                code="vocabulary_smaller",
                severity="warning",
                text=f"The text supports only {tokenizer.vocabulary:,} of the {vocabulary:,} tokens asked for.",
                fix="Add text, or ask for fewer with model.vocabulary.",
            )
        )
    temporary = run / f".{TOKENIZER}.tmp"
    temporary.mkdir(exist_ok=True)
    tokenizer.save(temporary)
    temporary.rename(run / TOKENIZER)
    return tokenizer


def _to_learn_from(project: Project, job: Job, size: int) -> Iterator[Document]:
    """The documents without those that will be held out: their words must not have tokens of their own.

    With many tokens for little text, validation would flatter otherwise (measured: 600 kB, 8,192 tokens). Of so much
    text that only a sample is learnt from, a document's own words do not become tokens, and nobody reads it twice.
    """
    from engine.text.split import hold_out, text_hash
    from engine.text.tokenizer import SAMPLE_BYTES

    if size > SAMPLE_BYTES or not job.data.validation:
        return documents_of(project, job)
    hashes, lengths = array("Q"), array("i")
    for document in documents_of(project, job):
        hashes.append(text_hash(document))
        lengths.append(sum(len(turn.text) for turn in document.turns))
    split = hold_out(np.array(hashes, np.uint64), np.array(lengths, np.int32), job.data.validation, SPLIT_SEED)
    pairs = zip(documents_of(project, job), split.mask.tolist(), strict=False)
    return (document for document, held_out in pairs if not held_out)


def paths_of(project: Project, entry: DataFile) -> list[Path]:
    from engine.text.formats import expand

    return expand([entry.path], project.root)


def files_of(project: Project, entries: Iterable[DataFile]) -> list[DataFile]:
    """The entries with every glob written out, their paths absolute; a file that is named twice is there twice."""
    return [replace(entry, path=str(path)) for entry in entries for path in paths_of(project, entry)]


def documents_of(project: Project, job: Job) -> Iterator[Document]:
    from engine.text.formats import read_documents

    seen: set[str] = set()
    for file in files_of(project, job.all_files):
        if file.path not in seen:
            seen.add(file.path)
            yield from read_documents(file.path, file.format, columns=file.columns)


def has_conversations(project: Project, job: Job) -> bool:
    from engine.text.formats import read_documents

    return any(
        not document.is_prose
        for file in files_of(project, job.all_files)
        for document in itertools.islice(read_documents(file.path, file.format, columns=file.columns), 20)
    )


def read_corpora(project: Project, job: Job, tokenizer: Tokenizer, reporter: Reporter) -> list[Corpus]:
    from engine.text.dataset import build

    corpora = []
    groups = [("main", job.data.files), *((stage.name, stage.files) for stage in job.stage)]
    for name, entries in groups:
        files = files_of(project, map(job.data_file, entries))
        corpus = build(
            files,
            tokenizer,
            project.cache / "tokens",
            validation=job.data.validation,
            seed=SPLIT_SEED,
            deduplicate=job.data.deduplicate,
            progress=_progress(reporter),
        )
        if corpus.train_tokens == 0:
            raise DataError(
                f"There is nothing to train on in {', '.join(Path(file.path).name for file in files)[:200]}.",
                fix="Check the format with `forge-tui check`.",
            )
        for reason, count in corpus.skipped.items():
            level: Literal["info", "warning"] = "info" if reason in HARMLESS else "warning"
            places = "place" if count == 1 else "places"
            reporter(Log(level=level, text=f"{name}: {count:,} {places} left out ({reason.replace('_', ' ')})."))
        if job.data.validation > 0 and not corpus.validation_possible:
            reporter(
                Advice(
                    code="no_validation",
                    severity="warning",
                    text=f"{name}: {corpus.validation_reason}",
                    fix="Add documents, so that some can be held out; until then overfitting cannot be seen.",
                )
            )
        corpora.append(corpus)
    return corpora


def _progress(reporter: Reporter) -> Callable[[Path, int, int], None]:
    """Says how far each file is while it is tokenised for the first time."""
    waiting: dict[Path, Waiting] = {}

    def progress(path: Path, done: int, size: int) -> None:
        if path not in waiting:
            waiting[path] = Waiting(reporter, f"Tokenising {one_line(path.name, 60)}")
        waiting[path](done, size)

    return progress
