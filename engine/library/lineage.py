"""Which model came from which.

A lineage names its sources as they were called at the time; renames and new models under old names are accounted for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.model.card import Ancestor

if TYPE_CHECKING:
    from engine.library.catalogue import ModelEntry

_CLOCK_SLACK = 5.0
"""Seconds by which two times of one event may differ: one is taken when a file is written, one a little later."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One model in the tree."""

    entry: ModelEntry
    depth: int
    last: tuple[bool, ...]
    """For each level above and its own, whether this is the last branch there: what the lines are drawn from."""


def source_step(steps: Sequence[Ancestor]) -> Ancestor | None:
    """The step with which a model left another one: the newest that names a source."""
    return next((step for step in reversed(steps) if step.source), None)


def with_parent(entry: ModelEntry, entries: Sequence[ModelEntry]) -> ModelEntry:
    """The entry with `parent` and `origin` filled in."""
    step = source_step(entry.lineage)
    if step is None:
        return entry
    others = [other for other in entries if other.name != entry.name]
    parent = resolve(step, others)
    return replace(entry, origin=step.source, parent=parent.name if parent else "")


def resolve(step: Ancestor, entries: Sequence[ModelEntry]) -> ModelEntry | None:
    """The model that `step` names as its source, whatever it is called now; None when it is gone."""
    named = [entry for entry in entries if _had_name(entry, step)]
    same_weights = [entry for entry in named if step.source_sha256 and entry.weights_sha256 == step.source_sha256]
    found = same_weights or named
    return found[0] if found else None


def _had_name(entry: ModelEntry, step: Ancestor) -> bool:
    if not step.time:
        return entry.name == step.source or any(old.name == step.source for old in entry.about.former)
    if not entry.about.named(step.source, entry.name, step.time):
        return False
    return (entry.created or 0.0) <= step.time + _CLOCK_SLACK


def tree(entries: Sequence[ModelEntry]) -> list[Branch]:
    """All models, each after the one that it came from; those without a parent in the list first, by name."""
    children: dict[str, list[ModelEntry]] = {}
    for entry in entries:
        children.setdefault(entry.parent, []).append(entry)
    known = {entry.name for entry in entries}
    roots = [entry for entry in entries if entry.parent not in known]
    branches: list[Branch] = []
    seen: set[str] = set()

    def add(entry: ModelEntry, last: tuple[bool, ...]) -> None:
        if entry.name in seen:
            return
        seen.add(entry.name)
        branches.append(Branch(entry, len(last), last))
        below = children.get(entry.name, [])
        for index, child in enumerate(below):
            add(child, (*last, index == len(below) - 1))

    for root in roots:
        add(root, ())
    for entry in entries:  # what is left goes round in a circle, which only edited files can do
        add(entry, ())
    return branches


def relation(first: ModelEntry, second: ModelEntry, entries: Sequence[ModelEntry]) -> str:
    """How two models are related, in a sentence."""
    by_name = {entry.name: entry for entry in entries}
    above_first, above_second = _above(first, by_name), _above(second, by_name)
    if second.name in above_first:
        return f"{first.name} came from {_way(above_first, second.name)}."
    if first.name in above_second:
        return f"{second.name} came from {_way(above_second, first.name)}."
    common = next((name for name in above_first if name in above_second), None)
    if common:
        return f"Both came from {common}."
    ancestors = [step for step in first.lineage if step.run and step in second.lineage]
    if ancestors:
        return f"They share their history up to run {ancestors[-1].run}."
    return "They are not related."


def _above(entry: ModelEntry, by_name: dict[str, ModelEntry]) -> list[str]:
    """The names above an entry, nearest first."""
    names: list[str] = []
    while entry.parent and entry.parent in by_name and entry.parent not in names:
        names.append(entry.parent)
        entry = by_name[entry.parent]
    return names


def _way(above: list[str], name: str) -> str:
    between = above[: above.index(name)]
    return name + (f" by way of {', '.join(between)}" if between else "")


def in_words(step: Ancestor) -> str:
    """One step of a lineage, such as `built as nano: 1,310,720 parameters, 300 steps, 1.214 bits/byte`."""
    verb = {"build": "built", "train": "trained", "grow": "grown", "import": "imported", "clone": "cloned"}[step.action]
    text = f"{verb} from {step.source}" if step.source else verb
    if step.action == "clone":
        return text  # nothing else has changed
    facts = [f"{step.size}, {step.parameters:,} parameters" if step.size else ""]
    if step.steps:
        facts.append(f"{step.steps:,} steps, {step.tokens:,} tokens")
    if step.val_bpb is not None:
        facts.append(f"{step.val_bpb:.3f} bits/byte")
    facts.append(step.note)
    return f"{text}: " + ", ".join(fact for fact in facts if fact) if any(facts) else text
