"""A run on one line, for lists."""

from __future__ import annotations

import time

from rich.text import Text

from engine.runs.state import Run
from forge_tui import figures
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.phase import phase_text
from forge_tui.text import fit, one_line, plain


def run_line(run: Run, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """Model, size, state, progress, value, age; what does not fit is left out from the end."""
    state = run.state
    line = plain(f"{one_line(state.model, 18):<18} ", palette.strong)
    line.append(f"{one_line(state.size, 7):<7} ", style=palette.quiet)
    phase = phase_text(run.phase, glyphs, palette, code=state.code)
    phase.truncate(16, pad=True)
    line.append_text(phase)
    line.append(f"{_progress(run):>5}  ", style=palette.text)
    value = state.best_val_bpb if state.best_val_bpb is not None else state.val_bpb
    line.append(f"{figures.loss(value):>7}  ", style=palette.text)
    age = figures.ago(max(0.0, time.time() - (state.ended or state.updated or state.created)))
    if run.alive:
        age = (
            f"{glyphs.about}{figures.duration(state.eta_seconds)} left" if state.eta_seconds is not None else "running"
        )
    line.append(f"{age:<12}", style=palette.quiet)
    right = plain(f"  {one_line(run.id, 24)}", palette.quiet)
    return fit(line, right, width) if line.cell_len + right.cell_len <= width else line


def _progress(run: Run) -> str:
    state = run.state
    if run.phase == "finished":
        return "100%"
    return f"{100 * state.step / state.steps:.0f}%" if state.steps else "-"


def heading(width: int, palette: Palette) -> Text:
    """Names of the columns of `run_line`."""
    text = f"{'model':<18} {'size':<7} {'state':<16}{'done':>5}  {'val bpb':>7}  {'when':<12}"
    return plain(text[:width], palette.quiet)
