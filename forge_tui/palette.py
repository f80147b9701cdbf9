"""The current theme's colours as rich styles, for what we draw cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color, ColorParseError


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles by meaning. Meaning is never in the colour alone: a word or a glyph always says it too."""

    text: Style
    quiet: Style
    """Second rank."""
    rule: Style
    """Lines and frames."""
    accent: Style
    strong: Style
    """Numbers and names that matter."""
    good: Style
    warning: Style
    error: Style
    train: Style
    validation: Style
    overlays: tuple[Style, Style, Style]
    mark: Style
    """A cursor or a selected tab, readable without colours."""


def palette_of(variables: Mapping[str, str], *, ansi: bool) -> Palette:
    """The palette of a theme, from its CSS variables."""

    def color(name: str, *, bold: bool | None = None) -> Style:
        value = variables.get(name, "")
        try:
            parsed = Color.parse(value.split()[0] if value else "ansi_default")
        except ColorParseError:
            return Style(bold=bold)
        return Style(color=parsed.rich_color, bold=bold)

    return Palette(
        text=color("foreground"),
        quiet=Style(dim=True) if ansi else color("quiet"),
        rule=Style(dim=True) if ansi else color("rule"),
        accent=color("accent"),
        strong=color("foreground", bold=True),
        good=color("success"),
        warning=color("warning", bold=ansi or None),
        error=color("error", bold=True),
        train=color("train"),
        validation=color("validation", bold=ansi or None),
        overlays=(color("overlay-1"), color("overlay-2"), color("overlay-3")),
        mark=Style(bold=True, reverse=True) if ansi else color("accent", bold=True),
    )


def severity(palette: Palette, level: str) -> Style:
    """The style of an advice or a log line of this severity."""
    return {"error": palette.error, "warning": palette.warning}.get(level, palette.quiet)
