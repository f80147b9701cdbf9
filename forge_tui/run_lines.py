"""A run as plain lines, for `--batch` and `attach`: progress rewritten in place on a terminal, never in a file."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from engine.events import Device, Event, Log, Plan, Step, encode
from engine.text.sanitize import sanitize
from forge_tui import figures, printing
from forge_tui.narration import narrate

STEP_SECONDS = 10.0
"""Between two progress lines where they stay."""
LIVE_SECONDS = 0.2
"""Between two rewritings of the progress line."""


class JsonLines:
    """Every event as one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def __call__(self, event: Event) -> None:
        """Print an event; once nobody reads any more, nothing: training goes on."""
        if self._stream is None:
            return
        try:
            self._stream.write(encode(event).decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def close(self) -> None:
        """Nothing is left to do."""


class RunLines:
    """Events as lines that people read."""

    def __init__(self, stream: TextIO, *, live: bool | None = None) -> None:
        self._stream: TextIO | None = stream
        self._live = printing.is_terminal(stream) if live is None else live
        self._progress = ""
        self._last_step = float("-inf")

    def __call__(self, event: Event) -> None:
        """Print what is worth a line; once nobody reads any more, nothing: training goes on."""
        match event:
            case Step():
                self._step(event)
            case Device():
                return
            case Log(level="debug"):
                return
            case Plan():
                self._line(event, plan_lines(event))
            case _:
                level, text = narrate(event)
                self._line(event, [f"{level}: {text}" if level in ("warning", "error") else text])

    def close(self) -> None:
        """Leave the progress line behind."""
        if self._progress:
            self._write("\n")
            self._progress = ""

    def _step(self, event: Step) -> None:
        final = event.step >= event.steps
        if event.time - self._last_step < (LIVE_SECONDS if self._live else STEP_SECONDS) and not final:
            return
        self._last_step = event.time
        if not self._live:
            self._line(event, [step_line(event)])
            return
        self._progress = step_line(event, printing.width(self._stream) - 1 if self._stream is not None else 79)
        self._write(f"\r\x1b[2K{self._progress}")

    def _line(self, event: Event, lines: list[str]) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(event.time))
        clear = "\r\x1b[2K" if self._progress else ""
        first, *rest = [sanitize(line) for line in lines]
        self._write(f"{clear}{clock}  {first}\n" + "".join(f"{'':8}  {line}\n" for line in rest) + self._progress)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def step_line(event: Step, room: int = 200) -> str:
    """Progress on one line; widths are fixed so that lines below each other line up.

    Args:
        event: Where training stands.
        room: Columns; what matters less gives way.
    """
    share = event.step / event.steps if event.steps else 0.0
    steps = f"{event.steps:,}"
    parts = {
        "share": f"{share:4.0%}",
        "step": f"step {event.step:>{len(steps)},}/{steps}",
        "epoch": f"epoch {event.epoch:6.2f}",
        "loss": f"loss {figures.loss(event.loss)}",
        "rate": f"lr {figures.rate(event.learning_rate):>7}",
        "speed": f"{event.tokens_per_second:>7,.0f} tok/s",
        "left": f"{figures.duration(event.eta_seconds)} left",
    }
    for name in ("rate", "epoch", "speed", "loss"):
        if len("  ".join(parts.values())) <= room:
            break
        del parts[name]
    return "  ".join(parts.values())[:room]


def plan_lines(plan: Plan) -> list[str]:
    """What is about to happen, in four lines."""
    held = f", {plan.validation_documents:,} held out" if plan.validation_documents else ", none held out"
    lines = [
        f"plan: models/{plan.model}, {plan.size}, {plan.parameters:,} parameters, vocabulary {plan.vocabulary:,}",
        f"{plan.documents:,} documents{held}; {plan.tokens:,} tokens, {figures.size(plan.text_bytes)} of text",
        f"{figures.counted(plan.epochs, 'epoch')}, {plan.steps:,} steps, about {figures.duration(plan.seconds)}",
        f"{plan.device}, {plan.precision}, {plan.threads} threads; {figures.size(plan.memory_bytes)} of memory, "
        f"{figures.size(plan.checkpoint_bytes)} a checkpoint",
    ]
    if len(plan.stages) > 1:
        lines[3:3] = [
            f"stage {stage.name}: {stage.documents:,} documents, {figures.counted(stage.epochs, 'epoch')}, "
            f"{stage.steps:,} steps, "
            f"lr {figures.rate(stage.learning_rate)}"
            for stage in plan.stages
        ]
    return lines


def lines_for(*, json: bool, stream: TextIO | None = None) -> JsonLines | RunLines:
    """Where events go: as JSON on stdout, or as lines on stderr (or on `stream`)."""
    return JsonLines(sys.stdout) if json else RunLines(stream or sys.stderr)
