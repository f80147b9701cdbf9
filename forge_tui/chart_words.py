"""The words in the frame of the loss chart: what is shown, how good it is, and which line is which."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from engine.runs.digest import Digest
from forge_tui import figures
from forge_tui.chart import ZOOMS, ChartOptions, Figure
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.run_view import RunView
from forge_tui.text import join, one_line, plain


def chart_title(digest: Digest, figure: Figure | None, palette: Palette, glyphs: Glyphs) -> Text:
    """`loss ─ val bits/byte 1.214 ▼ best 1.209 @ epoch 11`."""
    title = plain("loss", palette.strong)
    bits = figure is None or figure.unit == "bpb"
    unit = "bits/byte" if bits else "nats/token"
    latest, best = digest.eval, digest.best
    if latest is not None:
        title.append_text(plain(f" {glyphs.line} val {unit} ", palette.quiet))
        title.append_text(plain(figures.loss(latest.val_bpb if bits else latest.val_loss), palette.validation))
    elif figure is not None:
        title.append_text(plain(f" {glyphs.line} {unit}", palette.quiet))
    if best is None or latest is None:
        return title
    if latest.best:
        title.append_text(plain(f" {glyphs.best} best so far", palette.good))
    else:
        at = f"epoch {best.epoch:.1f}".removesuffix(".0")
        value = figures.loss(best.val_bpb if bits else best.val_loss)
        title.append_text(plain(f" {glyphs.best} best {value} @ {at}", palette.quiet))
    return title


def chart_legend(
    figure: Figure | None, options: ChartOptions, overlays: Sequence[RunView], palette: Palette, glyphs: Glyphs
) -> Text:
    """`── train  •• validation  epoch, log, zoom 25%`."""
    if figure is None:
        return Text(end="")
    parts = [join(plain(glyphs.legend_line, palette.train), plain("train", palette.quiet))]
    if any(line.kind == "validation" and line.points for line in figure.lines):
        parts.append(join(plain(glyphs.legend_dots, palette.validation), plain("validation", palette.quiet)))
    for style, other in zip(palette.overlays, overlays, strict=False):
        name = one_line(f"{other.run.state.model} {other.run.id[4:13]}", 24)
        parts.append(join(plain(glyphs.legend_line, style), plain(name, palette.quiet)))
    words = [figure.axis]
    if options.log:
        words.append("log")
    if options.zoom:
        words.append(f"zoom {round(100 * ZOOMS[options.zoom])}%")
    if figure.hidden:
        words.append(f"{figure.hidden:,} not a number")
    parts.append(plain(", ".join(words), palette.quiet))
    return join(*parts, gap="  ")
