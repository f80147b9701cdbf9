"""The ladder of sizes and the models that there are, as rows; and all there is to say about one of them."""

from __future__ import annotations

import time

from rich.text import Text

from engine.library.catalogue import ModelEntry
from engine.sizes import LADDER, Dimensions
from engine.text.findings.amount import amount as millions
from forge_tui import figures
from forge_tui.forecast import Amount, Forecast, Outlook
from forge_tui.glyphs import Glyphs
from forge_tui.machine_facts import Machine
from forge_tui.palette import Palette
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import Fact

GUIDE_TIME = {
    "nano": "minutes", "micro": "minutes", "tiny": "10-30 minutes", "mini": "10-30 minutes", "small": "30-60 minutes",
    "medium": "1-2 hours", "large": "2-8+ hours", "xl": "2-8+ hours", "xxl": "2-8+ hours",
}  # fmt: skip
"""What the training guide says, for the machine that it names."""

COLUMNS = (("size", 8, "<"), ("parameters", 10, ">"), ("memory", 8, ">"), ("speed", 12, ">"), ("time", 9, ">"))


def _columns(width: int) -> list[tuple[str, int, str]]:
    """The columns; the note at the end matters more than the parameters, which the facts below tell as well."""
    return [column for column in COLUMNS if width >= 72 or column[0] != "parameters"]


def heading(width: int, palette: Palette) -> Text:
    """Names of the columns."""
    cells = {"speed": "speed here"}
    line = Text("  ", end="", no_wrap=True)
    for name, room, side in _columns(width - 2):
        line.append(f"{cells.get(name, name):{side}{room}} ", style=palette.quiet)
    line.append(" note", style=palette.quiet)
    line.truncate(width)
    return line


def rung_row(rung: Forecast, outlook: Outlook, chosen: bool, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """`micro        4.20 M   0.5 GB    5.2k tok/s     4 min  recommended for this data`."""
    gone = rung.fit == "too large"
    base = palette.quiet if gone else palette.text
    about = "" if rung.measured else glyphs.about
    cells = {
        "size": rung.size,
        "parameters": millions(rung.parameters),
        "memory": f"{rung.least / 1e9:.1f} GB" if gone else f"{rung.memory / 1e9:.1f} GB",
        "speed": "-" if rung.speed is None else f"{about}{figures.count(rung.speed)} tok/s",
        "time": "-" if rung.seconds is None else f"{about}{figures.duration(rung.seconds)}",
    }
    line = Text(end="", no_wrap=True)
    for name, room, side in _columns(width):
        style = palette.strong if name == "size" and not gone else base
        line.append(f"{cells[name]:{side}{room}} ", style=style)
    line.append(" ")
    line.append_text(_note(rung, outlook, chosen, palette, glyphs))
    line.truncate(width, overflow="ellipsis")
    return line


def _note(rung: Forecast, outlook: Outlook, chosen: bool, palette: Palette, glyphs: Glyphs) -> Text:
    if rung.fit == "too large":
        best = f": {outlook.largest} does" if outlook.largest else ""
        return plain(f"does not fit{best}", palette.quiet)
    parts = []
    if chosen:
        parts.append(plain("chosen", palette.accent))
    if rung.size == outlook.recommended:
        parts.append(plain("suits this data", palette.good))
    if rung.fit == "tight":
        parts.append(plain(f"{glyphs.warn} tight", palette.warning))
    if not parts or (chosen and len(parts) == 1):
        low, high = rung.guide.guide_lines if rung.guide else (0, None)
        words = f"{figures.count(1 / rung.ratio)} params/token" if 0 < rung.ratio < 0.01 else ""
        span = f"{low:,}-{high:,}" if high else f"{low:,}+"
        parts.append(plain(words or f"{'' if parts else 'guide: '}{span} lines", palette.quiet))
    return join(*parts, gap=f" {glyphs.separator} ")


def rung_facts(
    rung: Forecast, outlook: Outlook, amount: Amount, machine: Machine, palette: Palette, glyphs: Glyphs
) -> list[Fact]:
    """Everything about a size: its shape, what it needs, how long it takes, what the guide says."""
    dims = rung.dimensions
    heads = f"{dims.heads} heads ({dims.kv_heads} kv)"
    shape = f"{dims.layers} layers x {dims.dim:,}, {heads}, feed-forward {dims.ffn:,}"
    facts: list[Fact] = [("", f"{rung.parameters:,} parameters: {shape}")]
    facts.append(("memory", _memory_words(rung, outlook, machine, palette)))
    if rung.speed is not None:
        how = "measured in an earlier run" if rung.measured else "estimated until a run has measured it"
        facts.append(("speed", f"{figures.count(rung.speed)} tokens a second on {machine.words} ({how})"))
        steps = f"{rung.steps:,} steps, {glyphs.about}{figures.duration(rung.seconds)}"
        facts.append(("time", f"{steps}; a checkpoint is {figures.size(rung.checkpoint)}"))
    if rung.ratio > 0 and amount.tokens:
        facts.append(("data", rung.amount_words))
    if (guide := rung.guide) is not None:
        low, high = guide.guide_lines
        span = f"{low:,} to {high:,} lines" if high else f"{low:,} lines or more"
        epochs = f"{guide.guide_epochs[0]} to {guide.guide_epochs[1]} epochs"
        facts.append(("guide", f"{epochs}, {span}, {GUIDE_TIME[guide.name]}: {guide.guide_use}"))
    return facts


def _memory_words(rung: Forecast, outlook: Outlook, machine: Machine, palette: Palette) -> Text:
    total, free = machine.memory.total / 1e9, machine.memory.available / 1e9
    if rung.fit == "too large":
        rest = f" The largest size that fits is {outlook.largest}." if outlook.largest else ""
        words = f"needs at least {rung.least / 1e9:.1f} GB; here are {total:.1f} GB.{rest}"
        return plain(words, palette.warning)
    rows = f"{rung.recipe.batch_size} x {rung.recipe.sequence_length:,} tokens at once"
    words = f"{rung.memory / 1e9:.1f} GB of the {free:.1f} GB that are free ({rows})"
    if rung.fit == "tight":
        words += ". Tight: close other programs, or lower sequence_length"
    return plain(words, palette.warning if rung.fit == "tight" else palette.text)


def model_row(entry: ModelEntry, grows: str, room: int, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """`sacrifice    micro    val 1.209 · 3 d ago            w grows it to small`; `room` cells for the name."""
    usable = entry.loadable
    line = Text(end="", no_wrap=True)
    line.append(f"{one_line(entry.name, room):<{room + 1}}", style=palette.strong if usable else palette.quiet)
    line.append(f"{one_line(entry.size, 7):<8}", style=palette.text)
    parts = []
    if entry.problem:
        parts.append(plain(f"{glyphs.warn} {one_line(entry.problem, 200)}", palette.warning))
    else:
        if entry.alive:
            parts.append(plain("training now", palette.accent))
        if entry.val_bpb is not None:
            parts.append(plain(f"val {entry.val_bpb:.3f}", palette.text))
        if entry.trained:
            parts.append(plain(figures.ago(max(0.0, time.time() - entry.trained)), palette.quiet))
        if not entry.published and not entry.alive:
            words = f"nothing published yet, {entry.phase}" if entry.phase else "empty"
            parts.append(plain(words, palette.quiet))
        if grows and not entry.alive:
            parts.append(plain(grows, palette.quiet))
    line.append_text(join(*parts, gap=f" {glyphs.separator} "))
    line.truncate(width, overflow="ellipsis")
    return line


def model_facts(entry: ModelEntry, sizes: list[str], palette: Palette, glyphs: Glyphs) -> list[Fact]:
    """Everything about a model that one may go on with."""
    facts: list[Fact] = [("", f"{entry.size}, {entry.parameters:,} parameters")]
    if entry.problem:
        facts.append(("problem", plain(entry.problem, palette.warning)))
    if entry.vocabulary:
        facts.append(("context", f"{entry.context:,} tokens; a tokenizer of {entry.vocabulary:,}"))
    if not entry.published and not entry.problem:
        facts.append(("state", "nothing is published yet: that comes with the end of a run"))
    if entry.val_bpb is not None:
        facts.append(("validation", f"{entry.val_bpb:.3f} bits per byte"))
    if entry.tokens:
        facts.append(("trained on", f"{figures.count(entry.tokens)} tokens of {_files(entry)}"))
    if entry.parent or entry.origin:
        facts.append(("came from", one_line(entry.parent or entry.origin, 40)))
    if entry.note:
        facts.append(("note", one_line(entry.note, 300)))
    if sizes:
        facts.append(("grows to", f"{', '.join(sizes)}: exactly, it answers the same before it is trained on"))
    facts.append(("", plain("enter goes on with it" + ("; w grows it" if sizes else ""), palette.quiet)))
    return facts


def _files(entry: ModelEntry) -> str:
    names = ", ".join(one_line(file.path, 40) for file in entry.data[:3])
    return f"{names} and {len(entry.data) - 3} more" if len(entry.data) > 3 else names or "data that is not known"


def growth_of(dims: Dimensions | None) -> list[str]:
    """The sizes of the ladder that a model can grow to."""
    return [] if dims is None else [size.name for size in LADDER if dims.grows_to(size.dimensions)]
