"""The plan of a run: every key of its job, and why the values that were "auto" are what they are."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from engine.events import Plan
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.palette import Palette
from forge_tui.text import one_line, plain
from forge_tui.widgets.fact_list import wrapped
from forge_tui.widgets.plain import Plain


class PlanPane(VerticalScroll, can_focus=True):
    """A scrolling list of `key = value   reason`."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Plain(id="plan-text")

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._alive = True

    def show(self, plan: Plan | None, *, alive: bool = True) -> None:
        """Show a plan; a run that has ended will not make one any more."""
        self._plan, self._alive = plan, alive
        self._fill()

    def on_resize(self) -> None:
        """Reasons are wrapped for the width."""
        self._fill()

    def _fill(self) -> None:
        palette = app_of(self).palette
        if self._plan is None:
            words = " The plan is being made." if self._alive else " It ended before there was a plan."
            text = Text(words, style=palette.quiet, end="")
        else:
            text = plan_text(self._plan, palette, max(40, self.size.width - 1))
        self.query_one("#plan-text", Plain).show(text)

    def move(self, lines: int) -> None:
        """Scroll."""
        self.scroll_to(y=max(0, self.scroll_target_y + lines), animate=False)

    def page(self) -> int:
        """Lines in a page."""
        return max(1, self.size.height - 1)


def plan_text(plan: Plan, palette: Palette, cells: int) -> Text:
    """The plan in lines of at most `cells` cells."""
    text = Text(end="")
    facts = (
        f" {plan.documents:,} documents and {plan.validation_documents:,} held out, "
        f"{figures.count(plan.tokens)} tokens a pass, vocabulary {plan.vocabulary:,}\n"
        f" {plan.steps:,} steps, {plan.epochs} epochs, {plan.precision} on {plan.device}, "
        f"{figures.size(plan.memory_bytes)} of memory, {figures.size(plan.checkpoint_bytes)} to save\n"
    )
    text.append(facts, style=palette.text)
    for stage in plan.stages if len(plan.stages) > 1 else []:
        text.append(
            f" stage {one_line(stage.name)}: {stage.epochs} epochs, {stage.steps:,} steps, "
            f"{figures.count(stage.tokens_per_epoch)} tokens an epoch\n",
            style=palette.text,
        )
    text.append("\n")
    rows = list(_rows("", plan.job))
    width = min(34, max((len(key) for key, _ in rows), default=0))
    for key, value in rows:
        line = plain(value, palette.strong)
        reason = plan.why.get(key, "")
        if reason:
            line.append(" " * max(2, 16 - len(value)))
            line.append_text(plain(one_line(reason, 200), palette.text))
        for index, row in enumerate(wrapped(line, max(16, cells - width - 3)) or [line]):
            text.append(f" {key if index == 0 else '':<{width}}  ", style=palette.quiet)
            text.append_text(row)
            text.append("\n")
    return text


def _rows(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _rows(f"{prefix}.{key}" if prefix else str(key), inner)]
    shown = ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
    return [(one_line(prefix, 60), one_line(shown, 120))]
