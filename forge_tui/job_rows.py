"""The job form's rows: a key and its value, all about a key, and what the whole job comes to."""

from __future__ import annotations

from rich.text import Text

from engine.job import Job
from engine.text.findings.amount import amount as millions
from forge_tui import figures
from forge_tui.forecast import Amount, Forecast
from forge_tui.glyphs import Glyphs
from forge_tui.job_fields import RATE_GUIDE, SECTIONS, Field, as_typed, short
from forge_tui.machine_facts import Machine
from forge_tui.palette import Palette
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import Fact

NAME, VALUE = 22, 18
"""Cells of the columns."""

Auto = tuple[str, str]
"""What "auto" is now, and why."""


def section_line(section: str, palette: Palette) -> Text:
    """`[train]  how`."""
    name, _, index = section.partition(".")
    title = f"[{name}]" if not index else f"[[stage]] {int(index) + 2}"
    return join(plain(title, palette.accent), plain(SECTIONS[name], palette.quiet), gap="  ")


def field_line(field: Field, auto: Auto | None, width: int, palette: Palette) -> Text:
    """`learning_rate         auto = 0.02       0.02 for Muon at 4,096 tokens a step`."""
    line = Text(f"{field.name:<{NAME}}", style=palette.text if field.given else palette.quiet, end="")
    if field.is_auto:
        value, why = auto or ("", "")
        line.append("auto ", style=palette.quiet)
        line.append(f"{f'= {value}' if value else '':<{VALUE - 5}} ", style=palette.strong)
        line.append_text(plain(one_line(why, 200), palette.quiet))
    else:
        style = palette.strong if field.given else palette.text
        line.append_text(plain(f"{one_line(short(field, 40), 40):<{VALUE}} ", style))
        if field.default is not None and field.value != field.default and not isinstance(field.value, list):
            line.append_text(plain(f"default {one_line(str(field.default), 20)}", palette.quiet))
        elif not field.given:
            line.append_text(plain("default", palette.quiet))
    line.truncate(width, overflow="ellipsis")
    return line


def field_facts(field: Field, auto: Auto | None, palette: Palette, *, guide: bool) -> list[Fact]:
    """All about a key; with the training guide's learning rates where they help."""
    facts: list[Fact] = [("", plain(field.about, palette.text))]
    if auto is not None and auto[0]:
        value, why = auto
        reason = plain(why, palette.text) if why else None
        facts.append(("auto", join(plain(value, palette.strong), reason, gap="  ")))
    if field.name == "learning_rate" and not guide:
        rates = "; ".join(f"{use.lower()} {rate}" for use, rate, _ in RATE_GUIDE)
        facts.append(("guide", plain(f"{rates} (AdamW; i shows more)", palette.text)))
    if len(as_typed(field)) > VALUE:
        facts.append(("value", one_line(as_typed(field), 400)))
    facts.append(("may be", field.expected))
    if field.default is not None:
        facts.append(("default", one_line(str(field.default), 100)))
    if guide:
        facts = [("", plain("The training guide's learning rates (for AdamW):", palette.accent))]
        facts += [(use, f"{rate}{f'  ({remark})' if remark else ''}") for use, rate, remark in RATE_GUIDE]
        facts.append(("here", plain(f"{auto[0]}  {auto[1]}" if auto else "as it is written", palette.strong)))
    return facts


def plan_lines(
    plan: Forecast, job: Job, amount: Amount, machine: Machine, palette: Palette, glyphs: Glyphs, *, goes_on: bool
) -> Text:
    """Two lines: what is trained on what, and what that takes."""
    verb = {"build": "builds", "grow": "grows", "train": "continues" if goes_on else "builds"}[job.train.method]
    about = "" if amount.exact and amount.certain else glyphs.about
    more = f" and {len(job.stage)} more stage{'s' if len(job.stage) > 1 else ''}" if job.stage else ""
    first = join(
        plain(f" {verb}", palette.quiet), plain(job.model.name, palette.strong),
        plain(f"{plan.size} {millions(plan.parameters)}", palette.text),
        plain(f"on {about}{figures.count(amount.tokens)} tokens x {plan.recipe.epochs} epochs{more}", palette.text),
        plain(f"= {about}{plan.steps:,} steps", palette.text),
    )  # fmt: skip
    fits = {"fits": palette.text, "tight": palette.warning, "too large": palette.error}[plan.fit]
    sign = "" if plan.measured else glyphs.about
    words = [
        plain(f" {sign}{figures.duration(plan.seconds)}" if plan.seconds is not None else " -", palette.strong),
        plain("does not fit", palette.error) if plan.fit == "too large" else None,
        plain(f"{plan.memory / 1e9:.1f} GB of {machine.memory.available / 1e9:.1f} GB free", fits),
        plain(machine.words, palette.text),
        plain(f"a checkpoint {figures.size(plan.checkpoint)}", palette.quiet),
        plain(f"{glyphs.warn} {amount.problem}", palette.warning) if amount.problem else None,
    ]
    return Text("\n", end="").join([first, join(*words, gap=f" {glyphs.separator} ")])
