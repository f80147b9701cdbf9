"""Events as lines that people read, in the app's log and in `--batch`."""

from __future__ import annotations

from typing import Literal

from engine.events import (
    Advice,
    Checkpoint,
    Control,
    Device,
    Done,
    Eval,
    Event,
    Failed,
    Log,
    Plan,
    Resumed,
    Sample,
    Step,
    Stopped,
)
from engine.text.sanitize import one_line
from forge_tui import figures

Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
"""From everything to the worst only; progress counts as debug."""


def narrate(event: Event) -> tuple[Level, str]:
    """The level of an event and one line that says it, safe to show."""
    level, text = _narrate(event)
    return level, one_line(text, 600)


def _narrate(event: Event) -> tuple[Level, str]:
    match event:
        case Log():
            return event.level, event.text
        case Plan():
            return "info", (
                f"plan: {event.model} {event.size} {figures.count(event.parameters)} parameters, "
                f"{event.steps:,} steps, {figures.counted(event.epochs, 'epoch')}, "
                f"{figures.count(event.tokens)} tokens, "
                f"{event.device} {event.precision}, about {figures.duration(event.seconds)}"
            )
        case Step():
            return "debug", (
                f"step {event.step:,}/{event.steps:,}  loss {figures.loss(event.loss)}  "
                f"lr {figures.rate(event.learning_rate)}  {event.tokens_per_second:,.0f} tok/s"
            )
        case Eval():
            best = ", best so far" if event.best else ""
            return "info", (
                f"evaluation: val {figures.loss(event.val_bpb)} bits/byte, train {figures.loss(event.train_bpb)}{best}"
            )
        case Sample():
            return "info", f"sample  Q: {event.prompt}  A: {event.text}"
        case Checkpoint():
            size = figures.size(event.bytes)
            if event.reason == "best":
                return "info", f"saved the best weights so far, step {event.step:,} ({size})"
            return "info", f"saved checkpoint step {event.step:,} ({size})" + (", best so far" if event.best else "")
        case Advice():
            level: Level = {"hint": "info", "warning": "warning", "error": "error"}[event.severity]  # type: ignore[assignment]
            return level, f"{event.text} {event.fix}".strip()
        case Control():
            return _control(event)
        case Resumed():
            return "info", f"resumed from step {event.from_step:,}. {event.text}".strip()
        case Device():
            return "debug", f"memory {figures.size(event.memory)} of {figures.size(event.memory_total)}"
        case Stopped():
            return "warning", f"stopped at step {event.step:,} ({event.reason})"
        case Done():
            early = " early" if event.early_stopped else ""
            value = f", val {figures.loss(event.val_bpb)} bits/byte" if event.val_bpb is not None else ""
            return "info", f"finished{early} after {figures.duration(event.seconds)}{value}: {event.path}"
        case Failed():
            return "error", f"failed: {event.text} {event.fix}".strip()
    return "debug", f"{event.event} (of a newer version)"


def _control(event: Control) -> tuple[Level, str]:
    what = event.command.replace("_", " ")
    by = f" by {event.by}" if event.by else ""
    if event.accepted:
        return "info", f"{what}{by}: {event.text}" if event.text else f"{what}{by}"
    return "warning", f"{what}{by} refused: {event.text}"
