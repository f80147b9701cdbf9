"""The numbers of a run: how far, how fast, how long, on what; three lines that line up and stay calm."""

from __future__ import annotations

import time

from rich.text import Text
from textual.widget import Widget

from engine.runs.state import AT_WORK
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.run_view import RunView
from forge_tui.text import fit, join, plain

GAP = "   "


class RunFacts(Widget):
    """Draws the watched run's numbers; `refresh` is all it needs."""

    can_focus = False

    def render(self) -> Text:
        app = app_of(self)
        view = app.view
        if view is None:
            return Text(end="")
        width = self.size.width
        rows = [
            progress_line(view, width, app.palette, app.glyphs),
            speed_line(view, width, app.palette, app.glyphs),
            machine_line(view, app.palette),
        ]
        for row in rows:
            row.truncate(width, overflow="ellipsis")
        return Text("\n", end="").join(rows)


def progress_line(view: RunView, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """`epoch 12/30   step 1,480/3,700   tokens 6.1M   ━━━━───── 40%`."""
    state, step = view.run.state, view.digest.step
    epoch = step.epoch if step else state.epoch
    at, of = (step.step, step.steps) if step else (state.step, state.steps)
    share = min(1.0, at / of) if of else 0.0
    facts = [("epoch", f"{_epoch(epoch)}/{state.epochs}"), ("step", f"{at:,}/{of:,}" if of else f"{at:,}")]
    if step is not None:
        facts.append(("tokens", figures.count(step.tokens)))
    left = _facts(facts, palette)
    percent = f"{int(share * 100)}%"
    room = width - left.cell_len - len(percent) - 6
    if room < 6:
        return fit(left, plain(f"{percent} ", palette.strong), width)
    bar = min(room, 40)
    done = round(share * bar)
    right = Text(glyphs.bar * done, style=palette.accent, end="")
    right.append(glyphs.line * (bar - done), style=palette.rule)
    right.append(f" {percent:>4} ", style=palette.strong)
    return fit(left, right, width)


def _epoch(epoch: float) -> str:
    return f"{epoch:.1f}" if epoch < 10 and epoch != int(epoch) else f"{int(epoch)}"


def speed_line(view: RunView, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """`5,210 tok/s   68% of its best   lr 1.4e-2 ↓   grad 0.31   ~9 min left (±1)`."""
    step, digest = view.digest.step, view.digest
    if step is None:
        waiting = "the first step is on its way" if digest.plan else "preparing: reading the data, building the model"
        text = waiting if view.run.alive else "no step was finished"
        return plain(f" {text}", palette.quiet)
    arrow = {1: f" {glyphs.up}", -1: f" {glyphs.down}", 0: ""}[view.rate_trend]
    share = min(100, round(100 * step.tokens_per_second / digest.fastest)) if digest.fastest > 0 else 100
    speed = Text.assemble((f"{step.tokens_per_second:,.0f}", palette.strong), (" tok/s", palette.quiet), end="")
    best = plain(f"{share}% of its best" if view.run.alive else "", palette.quiet)
    rate = Text.assemble(("lr ", palette.quiet), (f"{figures.rate(step.learning_rate)}{arrow}", palette.strong), end="")
    grad = Text.assemble(("grad ", palette.quiet), (figures.loss(step.grad_norm)[:5], palette.strong), end="")
    left = _remaining(view, palette, glyphs)
    # What matters less goes first where there is no room.
    for parts in ((speed, best, rate, grad, left), (speed, rate, grad, left), (speed, rate, left), (speed, left)):
        line = join(*parts, gap=GAP)
        if line.cell_len < width:
            break
    return Text(" ", end="").append_text(line)


def _remaining(view: RunView, palette: Palette, glyphs: Glyphs) -> Text:
    phase = view.phase
    if phase == "paused":
        return plain("paused", palette.warning)
    if not view.run.alive or phase not in AT_WORK:
        return plain(f"ran {figures.duration(view.run.state.seconds)}", palette.quiet)
    left, band = view.remaining(time.time())
    if left is None:
        return plain("time left: too early to say", palette.quiet)
    spread = f" ({glyphs.plus_minus}{figures.duration(band)})" if band is not None and band >= 1 else ""
    return Text.assemble(
        (f"{glyphs.about}{figures.duration(left)}", palette.strong), (f" left{spread}", palette.quiet), end=""
    )


def machine_line(view: RunView, palette: Palette) -> Text:
    """`memory 0.6/3.8 GB   cpu 92%   61 °C   disk 12 GB   saved 40 s ago`."""
    device, checkpoint, plan = view.digest.device, view.digest.checkpoint, view.digest.plan
    facts: list[tuple[str, str]] = []
    if not view.run.alive:
        return _facts(_left_behind(view), palette)
    if device is not None:
        facts.append(("memory", f"{device.memory / 1e9:.1f}/{device.memory_total / 1e9:.1f} GB"))
        if device.utilisation is not None:
            facts.append((plan.device.partition(":")[0] if plan else "use", f"{device.utilisation:.0f}%"))
        if device.temperature is not None:
            facts.append(("", f"{device.temperature:.0f} °C"))
        if device.disk_free is not None:
            facts.append(("disk", figures.size(device.disk_free)))
    saved = ("", "not saved yet") if checkpoint is None else ("saved", figures.ago(time.time() - checkpoint.time))
    return _facts([*facts, saved], palette)


def _left_behind(view: RunView) -> list[tuple[str, str]]:
    """What a run that has ended leaves: what its machine did then is of no interest any more."""
    state, checkpoint = view.run.state, view.digest.checkpoint
    best = state.best_val_bpb
    facts = [("best", f"{figures.loss(best)} bits/byte")] if best is not None else []
    if checkpoint is not None:
        facts.append(("saved", f"step {checkpoint.step:,}, {figures.ago(time.time() - checkpoint.time)}"))
    return facts


def _facts(facts: list[tuple[str, str]], palette: Palette) -> Text:
    line = Text(" ", end="")
    for index, (name, value) in enumerate(facts):
        line.append(GAP if index else "")
        line.append(f"{name} " if name else "", style=palette.quiet)
        line.append(value, style=palette.strong)
    return line
