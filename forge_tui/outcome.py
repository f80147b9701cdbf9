"""How a run stands, in a line or two with the next key: its end, or the advice that matters now."""

from __future__ import annotations

from rich.text import Text

from engine.events import Advice, Done
from engine.runs.control import CommandName
from forge_tui import figures
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette, severity
from forge_tui.phase import phase_text
from forge_tui.run_view import RunView
from forge_tui.text import fit, join, one_line, plain
from forge_tui.widgets.fact_list import wrapped

FIXES: dict[str, tuple[str, CommandName]] = {
    "overfitting": ("stop at the best", "stop"),
    "plateau": ("halve the rate", "set_learning_rate"),
    "learning_rate_high": ("halve the rate", "set_learning_rate"),
    "disk_full": ("save again", "save"),
    "save_failed": ("save again", "save"),
}
"""Code of an advice to what `f` does about it, and the command that does it."""

CONTINUES = ("stopped", "failed", "interrupted")


def outcome(
    view: RunView, palette: Palette, glyphs: Glyphs, *, screens: frozenset[str], width: int, compact: bool
) -> Text | None:
    """What is shown between the numbers and the log; None when there is nothing to say.

    Args:
        view: The run.
        palette: Colours.
        glyphs: Character set.
        screens: Names of the screens that there are, for the keys that lead there.
        width: Cells of a line.
        compact: Two lines at most.
    """
    if not view.run.alive:
        return _ended(view, palette, glyphs, screens, width, compact=compact)
    advice = current_advice(view)
    return None if advice is None else _advice(advice, palette, glyphs, width)


def current_advice(view: RunView) -> Advice | None:
    """The newest advice that is more than a hint, or that a key can act on; old ones give way after a while."""
    for advice in reversed(view.digest.advice):
        if advice.severity != "hint" or advice.code in FIXES:
            step = view.digest.step
            stale = step is not None and step.time - advice.time > 900
            return None if stale else advice
    return None


def _key(key: str, does: str, palette: Palette) -> Text:
    return Text.assemble((f"[{key}]", palette.accent), (f" {does}", palette.text), end="")


def _advice(advice: Advice, palette: Palette, glyphs: Glyphs, width: int) -> Text:
    """On one line: the words give way to the keys."""
    glyph = glyphs.hint if advice.severity == "hint" else glyphs.warn
    words = join(
        plain(f" {glyph}", severity(palette, advice.severity)), plain(one_line(advice.text, 300), palette.text)
    )
    fix = _key("f", FIXES[advice.code][0], palette) if advice.code in FIXES else None
    keys = join(fix, _key("F", "why", palette), gap="  ")
    return fit(words, join(Text(" "), keys, Text(" ")), width)


def _ended(
    view: RunView, palette: Palette, glyphs: Glyphs, screens: frozenset[str], width: int, *, compact: bool
) -> Text:
    state, phase = view.run.state, view.phase
    head = join(Text("", end=""), phase_text(phase, glyphs, palette, code=state.code), gap=" ")
    first = Text(" ", end="")
    first.append_text(head)
    lines = [first]
    keys: list[Text] = []
    if phase == "finished":
        first.append_text(_finished(view, palette, glyphs))
        if "chat" in screens:
            keys.append(_key("5", "chat with it", palette))
        keys.append(_key("n", "train again", palette))
    else:
        gone = "its host is gone: killed or restarted. What was saved is safe."
        text = {"interrupted": gone, "stopped": f"by {state.text}" if state.text else ""}.get(phase, state.text)
        if text:
            first.append_text(plain(f"  {_without(one_line(text, 400), head.plain)}", palette.text))
        if state.fix and not compact:
            lines.append(plain(f"   {one_line(state.fix, 400)}", palette.quiet))
        if state.code in ("out_of_memory", "killed_for_memory", "diverged") and "models" in screens:
            keys.append(_key("2", "change the job", palette))
        if phase in CONTINUES:
            at = f" from step {state.checkpoint_step:,}" if state.checkpoint_step else ""
            keys.append(_key("enter", f"continue{at}", palette))
        if state.code == "data" and "data" in screens:
            keys.append(_key("1", "look at the data", palette))
        keys.append(_key("n", "new run", palette))
    keys.append(_key("6", "all runs", palette))
    if compact:
        first.truncate(width, overflow="ellipsis")
    else:
        lines = [row for line in lines for row in _hanging(line, width)]
    while len(keys) > 1 and sum(key.cell_len + 3 for key in keys) > width:
        keys.pop()
    lines.append(join(Text(" ", end=""), *keys, gap="  "))
    return Text("\n", end="").join(lines)


def _hanging(line: Text, width: int) -> list[Text]:
    """A line in rows; all but the first stand below its words."""
    rows = wrapped(line, width - 2)
    return [row if index == 0 else Text.assemble("   ", row, end="") for index, row in enumerate(rows)]


def _without(text: str, head: str) -> str:
    """The text of a failure without the words that stand before it already."""
    first, colon, rest = text.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and head.lower().endswith(first.lower()) else text


def _finished(view: RunView, palette: Palette, glyphs: Glyphs) -> Text:
    state = view.run.state
    dot = f" {glyphs.separator} "
    parts: list[str] = []
    ended = view.digest.ended
    if state.best_val_bpb is not None:
        value = f"val {figures.loss(state.best_val_bpb)} bits/byte"
        if isinstance(ended, Done) and ended.untrained_bpb is not None:
            value += f" (untrained {figures.loss(ended.untrained_bpb)})"
        parts.append(value)
    if isinstance(ended, Done) and ended.early_stopped:
        parts.append("stopped early")
    parts.append(figures.duration(state.seconds))
    parts.append(f"models/{state.model}")
    return plain("  " + dot.join(one_line(part, 100) for part in parts), palette.text)
