"""A run's phase in a glyph and a word: the word says it all, the colour only helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette

if TYPE_CHECKING:
    from engine.runs.state import Phase


def phase_text(phase: Phase, glyphs: Glyphs, palette: Palette, *, code: str = "") -> Text:
    """Such as `● training`; `code` tells kinds of failure apart."""
    word: str = phase
    if phase == "failed":
        word = {"diverged": "diverged", "out_of_memory": "out of memory", "killed_for_memory": "out of memory",
                "disk_full": "disk full"}.get(code, phase)  # fmt: skip
    glyph, style = {
        "preparing": (glyphs.running, palette.quiet),
        "training": (glyphs.running, palette.accent),
        "paused": (glyphs.resting, palette.warning),
        "stopping": (glyphs.resting, palette.warning),
        "stopped": (glyphs.ended, palette.quiet),
        "finished": (glyphs.good, palette.good),
        "failed": (glyphs.bad, palette.error),
        "interrupted": (glyphs.warn, palette.warning),
    }[phase]
    return Text.assemble((f"{glyph} ", style), (word, style), end="")
