"""Two models side by side: configuration, data and training where they differ, figures, curves, and relation."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ForgeError
from engine.job_file import GENERATED_TABLES, MAX_BYTES
from engine.library.catalogue import ModelEntry, list_models
from engine.library.lineage import relation
from engine.library.names import find_folder
from engine.model.info import read_model
from engine.project import Project
from engine.runs.curve import Curve
from engine.runs.digest import open_digest
from engine.runs.state import Run, runs_of

JOB = "job.toml"
_UNTOLD = ("model.name", "model.size", "data.files")
"""Keys of the job that other parts of a comparison show."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of both models."""

    label: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether the two say different things."""
        return self.first != self.second


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number of both models; None where it was not measured."""

    label: str
    first: float | None
    second: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, with the curves of its newest run that has any."""

    entry: ModelEntry
    run: str
    """Id of that run; empty when there is none."""
    folder: Path | None
    """Of that run."""
    train: Curve
    """Training loss, nats per token, over steps."""
    val_bpb: Curve
    """Validation bits per byte over steps."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything about two models."""

    first: Side
    second: Side
    relation: str
    """How they are related, in a sentence."""
    model: tuple[Row, ...]
    """Shape and tokenizer."""
    training: tuple[Row, ...]
    """The resolved jobs of the runs that made them: the keys that differ; empty when one of them has no run."""
    data: tuple[Row, ...]
    """Files, by name: what each model was trained on."""
    figures: tuple[Figure, ...]
    comparable: str
    """Why the figures can or cannot be compared, in a sentence."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: a contract with scripts."""

        def rows(found: Iterable[Row]) -> list[dict[str, Any]]:
            return [{"label": r.label, "first": r.first, "second": r.second, "differs": r.differs} for r in found]

        return {
            "first": self.first.entry.to_dict(),
            "second": self.second.entry.to_dict(),
            "relation": self.relation,
            "model": rows(self.model),
            "training": rows(self.training),
            "data": rows(self.data),
            "figures": [{"label": f.label, "first": f.first, "second": f.second} for f in self.figures],
            "comparable": self.comparable,
            "curves": {
                "first": _points(self.first),
                "second": _points(self.second),
            },
        }


def compare(project: Project, first: str, second: str) -> Comparison:
    """Compare two models.

    Raises:
        UsageError: one of them is not there.
        ForgeError: one of the folders holds no model.
    """
    folders = [find_folder(project, first), find_folder(project, second)]
    entries = list_models(project)
    found = [next((entry for entry in entries if entry.name == folder.name), None) for folder in folders]
    for folder, entry in zip(folders, found, strict=True):
        if entry is None:
            raise ForgeError("This folder holds no model.", file=folder)
    left, right = (entry for entry in found if entry is not None)
    runs = [_run_of(project, left), _run_of(project, right)]
    jobs = [_flat_job(run) for run in runs]
    return Comparison(
        first=_side(left, runs[0]),
        second=_side(right, runs[1]),
        relation=relation(left, right, entries),
        model=_model_rows(left, right),
        training=_training_rows(jobs[0], jobs[1]),
        data=_data_rows(left, right),
        figures=_figures(left, right),
        comparable=_comparable(left, right),
    )


def _run_of(project: Project, entry: ModelEntry) -> Run | None:
    """The run that wrote the published weights, or the newest one."""
    runs = runs_of(project, entry.name)
    wrote = entry.lineage[-1].run if entry.lineage else ""
    return next((run for run in runs if run.id == wrote), runs[0] if runs else None)


def _side(entry: ModelEntry, run: Run | None) -> Side:
    if run is None:
        return Side(entry, "", None, Curve(), Curve())
    digest, reader = open_digest(run.folder)
    reader.close()
    return Side(entry, run.id, run.folder, digest.train, digest.val_bpb)


def _flat_job(run: Run | None) -> dict[str, str]:
    """The resolved job of a run as dotted keys and words."""
    if run is None:
        return {}
    try:
        data = (run.folder / JOB).read_bytes()
        table = tomllib.loads(data[:MAX_BYTES].decode())
    except (OSError, ValueError):
        return {}
    return dict(_flatten({key: value for key, value in table.items() if key not in GENERATED_TABLES}))


def _training_rows(first: dict[str, str], second: dict[str, str]) -> tuple[Row, ...]:
    """The keys that differ; none when one of the two was never trained here."""
    if not first or not second:
        return ()
    keys = [key for key in dict.fromkeys([*first, *second]) if not key.startswith(_UNTOLD)]
    rows = [Row(key, first.get(key, "-"), second.get(key, "-")) for key in keys]
    return tuple(row for row in rows if row.differs)


def _flatten(table: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _flatten(value, name)
        else:
            yield name, _word(value)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_word(entry) for entry in value) or "-"
    return str(value)


def _model_rows(left: ModelEntry, right: ModelEntry) -> tuple[Row, ...]:
    facts = [_facts(left), _facts(right)]
    return tuple(Row(label, facts[0].get(label, "-"), facts[1].get(label, "-")) for label in facts[0] | facts[1])


def _facts(entry: ModelEntry) -> dict[str, str]:
    facts = {"size": entry.size or "-", "parameters": f"{entry.parameters:,}"}
    try:
        info = read_model(entry.folder)
    except ForgeError:
        return facts
    shape = info.architecture
    return facts | {
        "layers": str(shape.layers),
        "width": str(shape.dim),
        "heads": f"{shape.heads} ({shape.kv_heads} key/value)",
        "feed-forward": str(shape.ffn),
        "context": f"{shape.context:,}",
        "vocabulary": f"{shape.vocabulary:,}",
        "tokenizer": info.card.tokenizer_hash[:8] if info.card and info.card.tokenizer_hash else "-",
        "stored as": info.weights.dtype,
        "kind": shape.model_type,
    }


def _data_rows(left: ModelEntry, right: ModelEntry) -> tuple[Row, ...]:
    digests = [{file.path: file.sha256[:8] or "yes" for file in entry.data} for entry in (left, right)]
    paths = list(dict.fromkeys([*digests[0], *digests[1]]))
    return tuple(Row(Path(path).name, digests[0].get(path, "-"), digests[1].get(path, "-")) for path in paths)


def _figures(left: ModelEntry, right: ModelEntry) -> tuple[Figure, ...]:
    figures = [Figure("val bits/byte", left.val_bpb, right.val_bpb)]
    figures.append(Figure("tokens trained", float(left.tokens) or None, float(right.tokens) or None))
    steps = [float(sum(step.steps for step in entry.lineage)) or None for entry in (left, right)]
    figures.append(Figure("steps", steps[0], steps[1]))
    figures.append(Figure("bytes", float(left.bytes) or None, float(right.bytes) or None))
    return tuple(figures)


def _comparable(left: ModelEntry, right: ModelEntry) -> str:
    if left.val_bpb is None or right.val_bpb is None:
        return "One of them was never validated: compare their answers."
    if {file.sha256 for file in left.data} == {file.sha256 for file in right.data}:
        return "Both were validated on the same data, in bits per byte: the lower one predicts it better."
    return "They were validated on different data: bits per byte say how well each knows its own."


def _points(side: Side) -> dict[str, Any]:
    return {
        "run": side.run or None,
        "val_bpb": [[bucket.last_at, bucket.last] for bucket in side.val_bpb.buckets],
        "train_loss": [[bucket.last_at, bucket.mean] for bucket in side.train.buckets],
    }
