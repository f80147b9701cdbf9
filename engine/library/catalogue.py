"""The models of a project at a glance: read without torch, damaged ones listed with what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ForgeError, ModelError
from engine.files import is_locked
from engine.library import lineage
from engine.library.about import About, read_about
from engine.library.names import find_folder, model_names
from engine.model.card import Ancestor, DataFile, ModelCard
from engine.model.info import CONFIG_FILE, ModelInfo, read_model
from engine.project import NAME, Project
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import Phase, Run, runs_of
from engine.text.sanitize import one_line


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelEntry:
    """One model in the list."""

    name: str
    """The folder's name."""
    folder: Path
    published: bool = False
    """Whether there are weights to use; False while the first run has not finished."""
    size: str = ""
    """A name of the ladder, or "custom"."""
    parameters: int = 0
    vocabulary: int = 0
    context: int = 0
    """Most tokens in one sequence."""
    bytes: int = 0
    """Of the published files."""
    val_bpb: float | None = None
    """Validation bits per UTF-8 byte of text."""
    tokens: int = 0
    """Trained on, over all runs."""
    data: tuple[DataFile, ...] = ()
    created: float | None = None
    """Seconds since the epoch."""
    trained: float | None = None
    """Seconds since the epoch, when the weights were written."""
    conversation: bool = True
    """Whether a prompt is a question to it."""
    lineage: tuple[Ancestor, ...] = ()
    """Oldest first."""
    parent: str = ""
    """The model that it came from, by its present name; empty when it came from none, or that one is gone."""
    origin: str = ""
    """The model that it came from, as it was called then."""
    note: str = ""
    tags: tuple[str, ...] = ()
    about: About = field(default_factory=About)
    weights_sha256: str = ""
    runs: int = 0
    run: str = ""
    """Id of the newest run."""
    phase: Phase | None = None
    """Of the newest run."""
    alive: bool = False
    """Whether a run holds the model."""
    problem: str = ""
    """Why it cannot be used, or what is odd about it."""
    loadable: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: a contract with scripts."""
        return {
            "name": self.name,
            "path": str(self.folder),
            "published": self.published,
            "loadable": self.loadable,
            "size": self.size,
            "parameters": self.parameters,
            "vocabulary": self.vocabulary,
            "context": self.context,
            "bytes": self.bytes,
            "val_bpb": self.val_bpb,
            "tokens": self.tokens,
            "data": [file.path for file in self.data],
            "created": self.created,
            "trained": self.trained,
            "conversation": self.conversation,
            "parent": self.parent or None,
            "origin": self.origin or None,
            "lineage": msgspec.to_builtins(self.lineage),
            "former_names": [former.name for former in self.about.former],
            "note": self.note,
            "tags": list(self.tags),
            "weights_sha256": self.weights_sha256,
            "runs": self.runs,
            "run": self.run or None,
            "phase": self.phase,
            "training": self.alive,
            "problem": self.problem,
        }

    def matches(self, words: str) -> bool:
        """Whether each of the words is somewhere in its name, size, tags, note or data."""
        parts = [self.name, self.size, self.note, self.parent, *self.tags, *(file.path for file in self.data)]
        text = "\n".join(parts).casefold()
        return all(word in text for word in words.casefold().split())


def list_models(project: Project) -> list[ModelEntry]:
    """All models of a project by name, with the parents found."""
    runs: dict[str, list[Run]] = {}
    for run in runs_of(project):
        runs.setdefault(run.folder.parents[1].name, []).append(run)
    entries = [read_entry(project.models / name, runs.get(name, [])) for name in model_names(project)]
    kept = [entry for entry in entries if entry is not None]
    return [lineage.with_parent(entry, kept) for entry in kept]


def stamp_of(project: Project) -> tuple[tuple[str, int, int, bool], ...]:
    """Another value whenever the list may be another one: cheap enough to be asked for again and again.

    Publishing, noting and renaming change a model's folder, a new run changes its folder of runs, and a run that
    begins or ends takes or leaves the model's lock.
    """
    found = []
    for name in model_names(project):
        folder = project.models / name
        lock = is_locked(folder / "runs" / MODEL_LOCK)
        found.append((name, _changed(folder), _changed(folder / "runs"), lock))
    return tuple(found)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def entry_of(project: Project, name: str) -> ModelEntry:
    """One model, without looking at the others: its parent is not found.

    Raises:
        UsageError: there is none.
        ModelError: the folder holds neither a model nor runs.
    """
    folder = find_folder(project, name)
    entry = read_entry(folder, runs_of(project, folder.name))
    if entry is None:
        raise _nothing(folder)
    return entry


def _nothing(folder: Path) -> ModelError:
    fix = "`forge-tui train` builds one, or remove the folder."
    return ModelError("This folder holds no model.", file=folder, fix=fix)


def find_entry(project: Project, name: str) -> ModelEntry:
    """One model, with its parent found.

    Raises:
        UsageError: there is none.
        ModelError: the folder holds neither a model nor runs.
    """
    folder = find_folder(project, name)
    found = next((entry for entry in list_models(project) if entry.name == folder.name), None)
    if found is None:
        raise _nothing(folder)
    return found


def read_entry(folder: Path, runs: list[Run]) -> ModelEntry | None:
    """What a folder holds; None for one without a model and without runs.

    Args:
        folder: In models/.
        runs: Its runs, newest first.
    """
    entry = ModelEntry(name=folder.name, folder=folder, runs=len(runs))
    if runs:
        alive = next((run for run in runs if run.alive), None)
        shown = alive or runs[0]
        entry = replace(entry, run=shown.id, phase=shown.phase, alive=alive is not None, size=shown.state.size,
                        parameters=shown.state.parameters)  # fmt: skip
    problems = []
    try:
        about = read_about(folder)
        entry = replace(entry, about=about, note=about.note, tags=about.tags)
    except ForgeError as error:
        problems.append(error.text)
    if not NAME.fullmatch(folder.name):
        problems.append("Runs and commands cannot use this name: rename it.")
    try:
        if _has_files(folder):
            entry = _with_model(entry, read_model(folder))
        elif not runs:
            return None
    except ForgeError as error:
        problems.insert(0, f"{error.text} {error.fix}".strip())
        entry = replace(entry, published=True)
    except OSError as error:
        problems.insert(0, f"It cannot be read: {error.strerror}.")
        entry = replace(entry, published=True)
    return replace(entry, problem=" ".join(one_line(problem, 300) for problem in problems))


def _has_files(folder: Path) -> bool:
    """Whether somebody meant this to be a model."""
    if (folder / CONFIG_FILE).is_symlink() or (folder / CONFIG_FILE).exists():
        return True
    suffixes = (".safetensors", ".bin", ".pt", ".pth", ".pkl")
    return any(path.name.endswith(suffixes) for path in folder.iterdir())


def _with_model(entry: ModelEntry, info: ModelInfo) -> ModelEntry:
    card = info.card or ModelCard(name=entry.name)
    return replace(
        entry,
        published=True,
        loadable=True,
        size=info.size,
        parameters=info.parameters,
        vocabulary=info.architecture.vocabulary,
        context=info.architecture.context,
        bytes=sum(path.stat().st_size for path in info.files.values()),
        val_bpb=card.metrics.get("val_bpb"),
        tokens=card.tokens,
        data=card.data,
        created=card.created or None,
        trained=card.updated or info.weights.files[0].stat().st_mtime,
        conversation=card.conversation,
        lineage=card.lineage,
        weights_sha256=card.weights_sha256,
    )
