"""Whether every byte of a model is as written: weights against their digest, checkpoints against their manifests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import ForgeError
from engine.files import sha256_of
from engine.library.about import read_about
from engine.library.checkpoints import Checkpoint, list_checkpoints
from engine.library.names import find_folder
from engine.model.card import README_FILE
from engine.model.info import ModelInfo, read_model
from engine.project import Project
from engine.runs import manifest

Verdict = Literal["good", "unknown", "bad"]
"""As written · there is nothing to compare it with · damaged."""

Progress = Callable[[int, int], None]
"""Told the bytes that are done and those there are; may raise to give up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one part of a model."""

    part: str
    """A file, or a checkpoint."""
    verdict: Verdict
    text: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"part": self.part, "verdict": self.verdict, "text": self.text, "fix": self.fix}


def verify(project: Project, name: str, progress: Progress | None = None) -> list[Finding]:
    """Read every byte of a model and its checkpoints. Works while a run trains.

    Args:
        project: Where.
        name: The model.
        progress: See `Progress`.

    Raises:
        UsageError: there is no such model.
    """
    folder = find_folder(project, name)
    checkpoints = [entry for entry in list_checkpoints(project, folder.name) if not entry.path.suffix]
    info, findings = _read(folder)
    total = sum(entry.bytes for entry in checkpoints) + (info.weights.bytes if info else 0)
    count = _Count(progress, total)
    if info is not None:
        findings += [_weights(info), _tokenizer(info)]
        count.add(info.weights.bytes)
    for number, entry in enumerate(checkpoints, 1):
        found = _checkpoint(entry, count)
        findings += [found] if found else []
        count.reach(total - sum(other.bytes for other in checkpoints[number:]))
    try:
        read_about(folder)
    except ForgeError as error:
        findings.append(Finding("notes", "bad", error.text, error.fix))
    return findings


class _Count:
    """Adds bytes up for whoever watches."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, more: int) -> None:
        self.reach(self._done + more)

    def reach(self, done: int) -> None:
        self._done = min(done, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _read(folder: Path) -> tuple[ModelInfo | None, list[Finding]]:
    try:
        info = read_model(folder)
    except ForgeError as error:
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {"runs"}
        if not names:
            return None, [Finding("model", "unknown", "Nothing is published yet.")]
        return None, [Finding("model", "bad", error.text, error.fix)]
    missing = [] if README_FILE in info.files else [README_FILE]
    text = f"{info.size}, {info.parameters:,} parameters, {len(info.files)} files"
    return info, [Finding("model", "good", text + (f", without {missing[0]}" if missing else ""))]


def _weights(info: ModelInfo) -> Finding:
    file = info.weights.files[0]
    if info.card is None or not info.card.weights_sha256:
        return Finding("weights", "unknown", "There is no forge.json that says what they must be.")
    if "forge" not in info.weights.metadata:
        return Finding("weights", "unknown", "Another program has written them since forge.json was written.")
    try:
        same = sha256_of(file) == info.card.weights_sha256
    except OSError as error:
        return Finding("weights", "bad", f"They cannot be read: {error.strerror}.", "Check the disk.")
    if same:
        return Finding("weights", "good", f"sha256 {info.card.weights_sha256[:12]} as in forge.json")
    fix = "Restore a checkpoint, or train the model again."
    return Finding("weights", "bad", "They differ from their digest in forge.json.", fix)


def _tokenizer(info: ModelInfo) -> Finding:
    from engine.text.tokenizer import Tokenizer

    try:
        tokenizer = Tokenizer.load(info.folder)
    except ForgeError as error:
        return Finding("tokenizer", "bad", error.text, error.fix)
    if tokenizer.vocabulary > info.architecture.vocabulary:
        text = f"It has {tokenizer.vocabulary} tokens, the model only {info.architecture.vocabulary}."
        return Finding("tokenizer", "bad", text, "They belong to different models: copy the model again.")
    if info.card is None or not info.card.tokenizer_hash:
        return Finding("tokenizer", "unknown", "There is no forge.json that says what it must be.")
    if tokenizer.hash != info.card.tokenizer_hash:
        return Finding(
            "tokenizer", "bad", "It is not the one that the weights were trained with.", "Restore a checkpoint."
        )
    return Finding("tokenizer", "good", f"{tokenizer.vocabulary:,} tokens, as in forge.json")


def _checkpoint(entry: Checkpoint, count: _Count) -> Finding | None:
    """None for one that was pruned meanwhile."""
    try:
        manifest.verify(entry.path, count.add)
    except ForgeError as error:
        if not entry.path.is_dir():
            return None
        return Finding(entry.id, "bad", f"It cannot be used: {error.text}.", "Delete it.")
    return Finding(entry.id, "good", f"step {entry.step:,}, every file as in its manifest")
