"""Whom one can talk to, in the words of the Chat screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from engine.library.catalogue import ModelEntry, list_models
from engine.library.checkpoints import Checkpoint, list_checkpoints
from engine.library.voices import PUBLISHED
from engine.project import Project
from forge_tui import figures, model_words
from forge_tui.glyphs import Glyphs
from forge_tui.partner import Partner
from forge_tui.screens.choose import Choice, Choose
from forge_tui.text import one_line, plain

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp

__all__ = ["VOICE", "Choice", "Choose", "best", "choices", "decode", "encode", "title_of"]

VOICE = "chat.voice"
"""What the app remembers: the model that is talked to, and which of its checkpoints."""
MOST_CHECKPOINTS = 6


def encode(model: str, which: str = "") -> str:
    """A choice as one text."""
    return f"{model}\n{which}" if which else model


def decode(text: str) -> tuple[str, str] | None:
    """The model and which of its checkpoints; None when there is no choice."""
    model, _, which = text.partition("\n")
    return (model, which) if model else None


def best(models: Sequence[ModelEntry], selected: str) -> tuple[str, str] | None:
    """Whom to talk to when nobody has chosen: what is being trained, else the job's model, else the newest one."""
    found = [entry for entry in models if entry.alive or entry.loadable]
    order = sorted(found, key=lambda e: (not e.alive, e.name != selected, -(e.trained or 0.0)))
    return (order[0].name, "") if order else None


def choices(project: Project, glyphs: Glyphs) -> list[Choice]:
    """Every model, and the newest of its checkpoints."""
    found = []
    for entry in list_models(project):
        size = model_words.size_words(entry)
        if entry.alive:
            words = f"{size}, in training: always the newest checkpoint"
            found.append(Choice(encode(entry.name), entry.name, words))
        if entry.loadable:
            value = "" if entry.val_bpb is None else f", {entry.val_bpb:.3f} bits/byte"
            when = model_words.since(entry.trained, model_words.clock())
            key = encode(entry.name, PUBLISHED if entry.alive else "")
            found.append(Choice(key, entry.name, f"{size}{value}, {when}"))
        for checkpoint in _distinct(list_checkpoints(project, entry.name))[:MOST_CHECKPOINTS]:
            value = "" if checkpoint.val_bpb is None else f"{checkpoint.val_bpb:.3f} bits/byte, "
            best_one = "best, " if checkpoint.best else ""
            title = f"{entry.name} {glyphs.separator} step {checkpoint.step:,}"
            about = f"checkpoint, {best_one}{value}{model_words.since(checkpoint.saved, model_words.clock())}"
            found.append(Choice(encode(entry.name, checkpoint.id), title, about))
    return found


def _distinct(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Those that can be talked to, one a step: the best one may be there twice, with and without its optimizer."""
    found: dict[tuple[str, int], Checkpoint] = {}
    for checkpoint in checkpoints:
        if not checkpoint.problem:
            found.setdefault((checkpoint.run, checkpoint.step), checkpoint)
    return list(found.values())


def title_of(partner: Partner, entry: ModelEntry | None, app: ForgeApp) -> tuple[str, Text]:
    """The name of a side of the chat, and how it is."""
    palette, glyphs = app.palette, app.glyphs
    parts = [one_line(partner.model, 40)]
    if partner.ready is not None:
        parts.append(" ".join(filter(None, [entry.size if entry else "", figures.count(partner.ready.parameters)])))
    elif entry is not None and entry.parameters:
        parts.append(model_words.size_words(entry))
    voice = partner.voice
    if voice is not None and voice.step is not None:
        parts.append(f"step {voice.step:,}" + (" of the run in training" if voice.live else ""))
    elif partner.which and partner.which != PUBLISHED:
        parts.append(one_line(partner.which.rpartition("/")[2], 30))
    if voice is not None and not voice.converses:
        parts.append("continues texts")
    title = f" {glyphs.separator} ".join(parts)
    if partner.trouble:
        return title, plain(f"{glyphs.bad} cannot speak", palette.error)
    if partner.ready is not None:
        ready = partner.ready
        where = f"{ready.device} x{ready.threads}" if ready.device == "cpu" else ready.device
        return title, plain(f"{'speaking' if partner.busy else 'ready'} {glyphs.separator} {where}", palette.good)
    return title, plain("loading ..." if partner.loading else "", palette.quiet)
