"""Files and folders on one line each: whether they are trained on, how big they are, what the check says."""

from __future__ import annotations

from rich.text import Text

from engine.errors import ForgeError
from forge_tui import figures
from forge_tui.data_checks import Checked
from forge_tui.data_words import badge
from forge_tui.folder import FolderEntry
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.picks import Pick
from forge_tui.text import fit, join, plain, sanitize


def file_row(
    entry: FolderEntry, pick: Pick | None, checked: Checked | ForgeError | None, width: int, palette: Palette,
    glyphs: Glyphs,
) -> Text:  # fmt: skip
    """`[x] stories.txt      159 kB x2 ✓`; folders end in a slash."""
    name = entry.path.name.replace("\n", " ")
    if entry.is_folder:
        return fit(join(plain("   ", palette.quiet), plain(f"{sanitize(name)}/", palette.accent)), Text(end=""), width)
    mark = plain("[x]", palette.accent) if pick is not None else plain("[ ]", palette.quiet)
    title = plain(name, palette.strong if pick is not None else palette.text)
    size = plain(f" {figures.size(entry.size):>7}", palette.quiet)
    weight = plain(f"{weight_words(pick):>4}", palette.accent)
    state = Text("    ", end="")
    if isinstance(checked, ForgeError):
        state = _padded(plain(glyphs.bad, palette.error))
    elif checked is not None:
        state = _padded(badge(checked.report, palette, glyphs))
    right = join(size, weight, state)
    return fit(join(mark, title), right, width)


def _padded(text: Text) -> Text:
    line = text.copy()
    line.append(" " * max(0, 4 - line.cell_len))
    return line


def weight_words(pick: Pick | None) -> str:
    """`x2`, or nothing for a weight of one."""
    return "" if pick is None or pick.weight == 1 else f"x{pick.weight:g}"


def together_row(picks: int, missing: int, width: int, palette: Palette, glyphs: Glyphs) -> Text:
    """The first row: everything that is chosen."""
    words = "1 file is trained on" if picks == 1 else f"{picks} files together"
    right = plain(f"{glyphs.warn} {missing} missing ", palette.warning) if missing else Text(end="")
    return fit(join(plain(" = ", palette.accent), plain(words, palette.strong)), right, width)


def above_row(width: int, palette: Palette) -> Text:
    """The way to the folder above."""
    return fit(join(plain("   ", palette.quiet), plain("../", palette.accent)), Text(end=""), width)
