"""The words in the frame of the loss chart: what is shown, how good it is, and which line is which."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from engine.runs.digest import Digest
from forge_tui import figures
from forge_tui.chart import ZOOMS, ChartOptions, Scale
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.run_view import RunView
from forge_tui.text import join, one_line, plain


def chart_title(digest: Digest, options: ChartOptions, palette: Palette, glyphs: Glyphs) -> Text:
    """`loss ─ val bits/byte 1.214 ▼ best 1.209 @ epoch 11`."""
    title = plain("loss", palette.strong)
    bits = options.unit == "bpb" and bool(Scale(digest))
    unit = "bits/byte" if bits else "nats/token"
    latest, best = digest.eval, digest.best
    if latest is None:
        title.append_text(plain(f" {glyphs.line} {unit}", palette.quiet))
        return title
    title.append_text(plain(f" {glyphs.line} val {unit} ", palette.quiet))
    title.append_text(plain(figures.loss(latest.val_bpb if bits else latest.val_loss), palette.validation))
    if latest.best:
        title.append_text(plain(f" {glyphs.best} best so far", palette.good))
    elif best is not None:
        at = f"epoch {best.epoch:.1f}".removesuffix(".0")
        value = figures.loss(best.val_bpb if bits else best.val_loss)
        title.append_text(plain(f" {glyphs.best} best {value} @ {at}", palette.quiet))
    return title


def chart_legend(digest: Digest, overlays: Sequence[RunView], palette: Palette, glyphs: Glyphs) -> list[Text]:
    """`── train` and its companions, a line each."""
    lines = [join(plain(glyphs.legend_line, palette.train), plain("train", palette.quiet))]
    if len(digest.validation):
        lines.append(join(plain(glyphs.legend_dots, palette.validation), plain("validation", palette.quiet)))
    for style, other in zip(palette.overlays, overlays, strict=False):
        name = one_line(f"{other.run.state.model} {other.run.id[4:13]}", 24)
        lines.append(join(plain(glyphs.legend_line, style), plain(name, palette.quiet)))
    return lines


def chart_note(digest: Digest, options: ChartOptions, palette: Palette) -> Text:
    """`epoch, log, zoom 25%`."""
    words = [options.axis]
    if options.log:
        words.append("log")
    if options.zoom:
        words.append(f"zoom {round(100 * ZOOMS[options.zoom])}%")
    if digest.train.left_out:
        words.append(f"{digest.train.left_out:,} losses were no number")
    return plain(", ".join(words), palette.quiet)
