"""Models in words: the same facts for `forge-tui models` and for the Manager screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from engine.library.catalogue import ModelEntry
from engine.library.checkpoints import Checkpoint, Inspection
from engine.library.comparison import Figure
from engine.library.disk_use import ModelUse
from engine.library.lineage import Branch, in_words
from engine.library.trash import Trashed
from forge_tui import figures

TREE_UNICODE = ("├ ", "└ ", "│ ", "  ")
TREE_ASCII = ("|-", "`-", "| ", "  ")
_NEWEST = {"failed": "failed", "stopped": "was stopped", "interrupted": "was interrupted"}


def indented(branch: Branch, lines: Sequence[str] = TREE_UNICODE) -> str:
    """The lines of the tree before a name."""
    fork, corner, bar, gap = lines
    if not branch.last:
        return ""
    above = "".join(gap if last else bar for last in branch.last[:-1])
    return above + (corner if branch.last[-1] else fork)


def data_words(entry: ModelEntry) -> str:
    """Names of the files that it was trained on, such as `qa.txt +2`."""
    names = [Path(file.path).name for file in entry.data]
    return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") if names else "-"


def size_words(entry: ModelEntry) -> str:
    """`nano 1.31M`, `custom 78.4k`."""
    return " ".join(filter(None, [entry.size, figures.count(entry.parameters) if entry.parameters else ""])) or "-"


def state_words(entry: ModelEntry) -> str:
    """What is special about it now, in a word or two; empty when nothing is."""
    if entry.alive:
        return entry.phase or "training"
    if entry.problem and not entry.loadable:
        return "damaged"
    if not entry.published:
        return entry.phase or "empty"
    return ""


def when(moment: float | None) -> str:
    """Local date and time; "-" when it is not known."""
    return "-" if not moment else time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def clock() -> float:
    """Seconds since the epoch; in one place so that pictures of screens can set it."""
    return time.time()


def since(moment: float | None, now: float) -> str:
    """`3 d ago`; "-" when it is not known."""
    return "-" if not moment else figures.ago(max(0.0, now - moment))


def facts(entry: ModelEntry) -> list[tuple[str, str]]:
    """Name and value of everything that is known at a glance, the most important first."""
    if entry.problem and not entry.loadable:
        found = [("problem", entry.problem)]
        found += [("tags", ", ".join(entry.tags))] if entry.tags else []
        return found + ([("note", entry.note)] if entry.note else [])
    found = [
        ("size", f"{entry.size or '-'}, {entry.parameters:,} parameters"),
        ("validation", "-" if entry.val_bpb is None else f"{entry.val_bpb:.4f} bits per byte"),
        ("trained", f"{when(entry.trained)}, {figures.count(entry.tokens)} tokens"),
    ]
    if not entry.published:
        newest = _NEWEST.get(entry.phase or "", f"is {entry.phase or 'gone'}")
        found[1:] = [("state", f"nothing is published yet; its newest run {newest}")]
    if entry.note:
        found.append(("note", entry.note))
    if entry.tags:
        found.append(("tags", ", ".join(entry.tags)))
    if entry.data:
        found.append(("data", "\n".join(file.path for file in entry.data)))
    if entry.vocabulary:
        found.append(("tokens", f"{entry.vocabulary:,} in the vocabulary, {entry.context:,} of context"))
    if entry.origin:
        gone = "" if entry.parent == entry.origin else f" (now {entry.parent})" if entry.parent else " (gone)"
        found.append(("came from", entry.origin + gone))
    if entry.lineage:
        found.append(("history", "\n".join(f"{when(step.time)}  {in_words(step)}" for step in entry.lineage)))
    if entry.about.former:
        found.append(("was called", ", ".join(former.name for former in entry.about.former)))
    if entry.runs:
        found.append(("runs", f"{entry.runs}, the newest ({entry.run}) {entry.phase}"))
    if entry.problem:
        found.append(("problem", entry.problem))
    return found


def disk_words(use: ModelUse) -> str:
    """The space that a model takes, such as `17 MB: model 5 MB, checkpoints 12 MB`."""
    parts = [("model", use.published), ("checkpoints", use.checkpoints), ("runs", use.journals)]
    shown = [f"{name} {figures.size(size)}" for name, size in parts if size > 0.01 * use.total]
    return figures.size(use.total) + (f": {', '.join(shown)}" if len(shown) > 1 else "")


def checkpoint_words(entry: Checkpoint) -> str:
    """What is special about a checkpoint."""
    words = ["best"] if entry.best else []
    if not entry.resumable and not entry.problem:
        words.append("weights only")
    if entry.problem:
        words.append("damaged")
    return ", ".join(words)


def inspection_facts(found: Inspection) -> list[tuple[str, str]]:
    """Name and value of what a checkpoint holds."""
    entry = found.checkpoint
    facts = [
        ("step", f"{entry.step:,} of run {entry.run} ({entry.phase})"),
        ("saved", when(entry.saved)),
        ("validation", "not measured here" if entry.val_bpb is None else f"{entry.val_bpb:.4f} bits per byte"),
    ]
    if found.best_bpb is not None and found.best_step is not None:
        facts.append(("best so far", f"{found.best_bpb:.4f} at step {found.best_step:,}"))
    if found.tokens:
        facts.append(("trained", f"{figures.count(found.tokens)} tokens in {figures.duration(found.seconds)}"))
    if found.rate_scale != 1.0:
        facts.append(("rate", f"learning rate scaled by {found.rate_scale:g}"))
    facts.append(("files", "\n".join(f"{figures.size(size):>8}  {name}" for name, size in found.files.items()) or "-"))
    whole = "every byte is as it was written"
    return [*facts, ("check", found.problem or whole)]


def trashed_words(entry: Trashed) -> str:
    """What lies in the trash, and why."""
    kind, reason = entry.label.kind, entry.label.reason
    if kind == "version":
        return reason or "replaced"
    what = f"run {entry.label.run}" if kind == "run" else "model"
    return what + (f", {reason}" if reason and reason != "deleted" else "")


def figure_words(figure: Figure) -> tuple[str, str]:
    """Both values of a figure."""

    def one(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,.0f}" if value == int(value) else f"{value:.4f}"

    return one(figure.first), one(figure.second)
