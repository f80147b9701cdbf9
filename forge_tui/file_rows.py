"""Files and folders on one line each: whether they are trained on, how big they are, what the check says."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
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
    glyphs: Glyphs, *, weights: bool,
) -> Text:  # fmt: skip
    """`[x] stories.txt   x2  159 kB ✓`; folders end in a slash. `weights` leaves room for weights."""
    name = entry.path.name.replace("\n", " ")
    if entry.is_folder:
        return fit(join(plain("   ", palette.quiet), plain(f"{sanitize(name)}/", palette.accent)), Text(end=""), width)
    mark = plain("[x]", palette.accent) if pick is not None else plain("[ ]", palette.quiet)
    weight = plain(f" {weight_words(pick):>5}", palette.accent) if weights else Text(end="")
    size = plain(f" {figures.size(entry.size):>7} ", palette.quiet)
    state = Text(end="")
    if isinstance(checked, ForgeError):
        state = plain(glyphs.bad, palette.error)
    elif checked is not None:
        state = badge(checked.report, palette, glyphs)
    state.append(" " * max(0, 3 - state.cell_len))
    right = Text(end="").append_text(weight).append_text(size).append_text(state)
    title = shortened(sanitize(name), width - right.cell_len - mark.cell_len - 1, glyphs.ellipsis)
    return fit(join(mark, plain(title, palette.strong if pick is not None else palette.text)), right, width)


def shortened(name: str, room: int, ellipsis: str) -> str:
    """A name in at most `room` cells: what is left out is in the middle, names often differ at their ends."""
    if cell_len(name) <= room or room < 8:
        return name
    tail = set_cell_size(name[::-1], (room - len(ellipsis)) // 2)[::-1]
    return set_cell_size(name, room - len(ellipsis) - cell_len(tail)) + ellipsis + tail


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
