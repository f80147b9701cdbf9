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
from forge_tui.text import one_line
from forge_tui.widgets.plain import Plain


class PlanPane(VerticalScroll, can_focus=True):
    """A scrolling list of `key = value   reason`."""

    def compose(self) -> ComposeResult:
        """One text."""
        yield Plain(id="plan-text")

    def show(self, plan: Plan | None) -> None:
        """Show a plan."""
        palette = app_of(self).palette
        text = (
            Text("The plan is being made.", style=palette.quiet, end="") if plan is None else plan_text(plan, palette)
        )
        self.query_one("#plan-text", Plain).show(text)

    def move(self, lines: int) -> None:
        """Scroll."""
        self.scroll_to(y=max(0, self.scroll_target_y + lines), animate=False)

    def page(self) -> int:
        """Lines in a page."""
        return max(1, self.size.height - 1)


def plan_text(plan: Plan, palette: Palette) -> Text:
    """The plan in lines."""
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
        text.append(f" {key:<{width}}  ", style=palette.quiet)
        text.append(f"{value:<14}", style=palette.strong)
        reason = plan.why.get(key, "")
        text.append(f"  {one_line(reason, 200)}\n" if reason else "\n", style=palette.text)
    return text


def _rows(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _rows(f"{prefix}.{key}" if prefix else str(key), inner)]
    shown = ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
    return [(one_line(prefix, 60), one_line(shown, 120))]
