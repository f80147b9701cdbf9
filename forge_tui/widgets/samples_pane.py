"""What the model answered over time: the same prompt side by side, earliest to newest."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from engine.events import Sample
from forge_tui.access import app_of
from forge_tui.palette import Palette
from forge_tui.text import one_line, plain, sanitize
from forge_tui.widgets.fact_list import wrapped
from forge_tui.widgets.plain import Plain

COLUMN = 22
"""Cells of one answer at least."""
LINES = 12
"""Lines of one answer at most."""
PROMPTS = 20
"""Prompts that are shown, those that were asked last."""


class SamplesPane(VerticalScroll, can_focus=True):
    """All prompts below each other, their answers in columns of time."""

    def compose(self) -> ComposeResult:
        """One text, made anew when there is a new sample."""
        yield Plain(id="samples-text")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._samples: Sequence[Sample] = ()
        self._alive, self._every = True, 0

    def show(self, samples: Sequence[Sample], *, alive: bool, every: int) -> None:
        """Show these samples; only a run that is `alive` can be asked for one, and `every` so many epochs they come."""
        self._samples, self._alive, self._every = list(samples), alive, every
        self._fill()

    def on_resize(self) -> None:
        """Columns depend on the width."""
        self._fill()

    def _fill(self) -> None:
        app = app_of(self)
        width = max(20, self.size.width - 2)
        text = Text(end="")
        if not self._samples:
            rows = wrapped(plain(self._words(), app.palette.quiet), width, indent=" ")
            text = Text("\n", end="").join(rows)
        prompts = list(dict.fromkeys(sample.prompt for sample in reversed(self._samples)))
        for prompt in prompts[:PROMPTS]:
            mine = [sample for sample in self._samples if sample.prompt == prompt]
            text.append(f" {one_line(prompt, width - 2)}\n", style=app.palette.strong)
            chosen = spread(mine, max(1, width // COLUMN))
            text.append_text(_columns(chosen, width, app.palette, app.console))
            text.append("\n")
        self.query_one("#samples-text", Plain).show(text)

    def _words(self) -> str:
        if not self._alive:
            return "No prompt was answered."
        first = f"the first come at epoch {self._every}" if self._every else "the job asks for none"
        return f"No samples yet: {first}. Press t to have a prompt answered now."

    def move(self, lines: int) -> None:
        """Scroll."""
        self.scroll_to(y=max(0, self.scroll_target_y + lines), animate=False)

    def page(self) -> int:
        """Lines in a page."""
        return max(1, self.size.height - 1)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples spread over time, the first and the newest among them."""
    if len(samples) <= count:
        return list(samples)
    if count == 1:
        return [samples[-1]]
    return [samples[round(index * (len(samples) - 1) / (count - 1))] for index in range(count)]


def _columns(samples: Sequence[Sample], width: int, palette: Palette, console: Console) -> Text:
    """The answers beside each other, the step above each."""
    each = max(8, width // max(1, len(samples)) - 2)
    blocks = [_wrapped(sample.text, each, console) for sample in samples]
    text = Text(end="")
    steps = "".join(f"  {f'step {sample.step:,}':<{each}}" for sample in samples)
    text.append(f"{steps.rstrip()}\n", style=palette.quiet)
    for row in range(max(len(block) for block in blocks)):
        for block in blocks:
            cell = block[row] if row < len(block) else Text(end="")
            piece = cell.copy()
            piece.truncate(each, pad=True)
            text.append("  ")
            text.append(piece.plain, style=palette.text)
        text.append("\n")
    return text


def _wrapped(answer: str, width: int, console: Console) -> list[Text]:
    safe = Text(sanitize(answer).strip() or "(nothing)", end="")
    lines = list(safe.wrap(console, width))
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], Text("...", end="")]
    return lines
