"""The app's themes: one accent, one warning, calm grounds; and the variables that our own drawing uses.

Besides Textual's, every theme defines `quiet` (text of second rank), `rule` (lines and frames), `train`, `validation`
and `overlay-1` to `overlay-3` (curves, told apart by shape as well).
"""

from __future__ import annotations

from textual.theme import Theme

DEFAULT_DARK = "forge"
DEFAULT_LIGHT = "paper"
CONSOLE = "console"


def _theme(
    name: str, *, dark: bool, ground: str, surface: str, panel: str, text: str, quiet: str, rule: str, accent: str,
    validation: str, warning: str, error: str, success: str, overlays: tuple[str, str, str],
) -> Theme:  # fmt: skip
    variables = {
        "quiet": quiet, "rule": rule, "train": accent, "validation": validation,
        "overlay-1": overlays[0], "overlay-2": overlays[1], "overlay-3": overlays[2],
        "text-muted": quiet, "border": accent, "border-blurred": rule,
        "block-cursor-background": accent, "block-cursor-foreground": ground, "block-cursor-text-style": "none",
        "block-cursor-blurred-background": panel, "block-cursor-blurred-foreground": text,
        "input-selection-background": f"{accent} 35%", "input-cursor-background": text,
        "input-cursor-foreground": ground, "scrollbar": rule, "scrollbar-hover": quiet, "scrollbar-active": accent,
        "scrollbar-background": ground, "scrollbar-background-hover": ground, "scrollbar-background-active": ground,
        "scrollbar-corner-color": ground,
    }  # fmt: skip
    return Theme(
        name=name, primary=accent, secondary=validation, accent=accent, warning=warning, error=error, success=success,
        foreground=text, background=ground, surface=surface, panel=panel, dark=dark, variables=variables,
    )  # fmt: skip


def _console() -> Theme:
    """The terminal's own 16 colours, and of these only the eight that every console can show."""
    variables = {
        "ansi-background": "ansi_default", "ansi-foreground": "ansi_default", "quiet": "ansi_default",
        "rule": "ansi_default", "train": "ansi_cyan", "validation": "ansi_yellow",
        "overlay-1": "ansi_magenta", "overlay-2": "ansi_green", "overlay-3": "ansi_blue",
        "text-muted": "ansi_default", "text-disabled": "ansi_default", "foreground-muted": "ansi_default",
        "border": "ansi_cyan", "border-blurred": "ansi_default",
        "block-cursor-foreground": "ansi_black", "block-cursor-background": "ansi_cyan",
        "block-cursor-text-style": "none", "block-cursor-blurred-foreground": "ansi_default",
        "block-cursor-blurred-background": "ansi_default", "block-cursor-blurred-text-style": "bold",
        "block-hover-background": "ansi_default", "input-cursor-background": "ansi_default",
        "input-cursor-foreground": "ansi_default", "input-cursor-text-style": "reverse",
        "input-selection-background": "ansi_cyan", "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_cyan", "screen-selection-foreground": "ansi_black",
        "scrollbar": "ansi_cyan", "scrollbar-hover": "ansi_cyan", "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default", "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default", "scrollbar-corner-color": "ansi_default",
        "link-color": "ansi_cyan", "link-color-hover": "ansi_cyan", "link-background-hover": "ansi_default",
    }  # fmt: skip
    return Theme(
        name=CONSOLE, ansi=True, primary="ansi_cyan", secondary="ansi_cyan", warning="ansi_yellow", error="ansi_red",
        success="ansi_green", accent="ansi_cyan", foreground="ansi_default", background="ansi_default",
        surface="ansi_default", panel="ansi_default", boost="ansi_default", dark=True, variables=variables,
    )  # fmt: skip


THEMES: dict[str, Theme] = {
    theme.name: theme
    for theme in (
        _theme(
            "forge", dark=True, ground="#15171b", surface="#1a1d22", panel="#23272e", text="#d9d7d0", quiet="#8d9198",
            rule="#3a3f48", accent="#f0955c", validation="#79b8d9", warning="#e8c766", error="#ee6f6f",
            success="#9cc786", overlays=("#a98fc7", "#7d9a72", "#8a8f99"),
        ),
        _theme(
            "anvil", dark=True, ground="#171c26", surface="#1c222e", panel="#262e3d", text="#cdd5e3", quiet="#8391a8",
            rule="#36415a", accent="#82aaf5", validation="#e5b567", warning="#e5b567", error="#ec7a86",
            success="#8fcf9f", overlays=("#c39ae0", "#6fb7a8", "#8391a8"),
        ),
        _theme(
            "moss", dark=True, ground="#1b211d", surface="#202722", panel="#2b342e", text="#d5d8c9", quiet="#8c9a8a",
            rule="#3d4a40", accent="#a9c77d", validation="#e0a370", warning="#dfc36d", error="#e27b72",
            success="#a9c77d", overlays=("#b79bc9", "#79b0b8", "#8c9a8a"),
        ),
        _theme(
            "paper", dark=False, ground="#faf8f3", surface="#f4f1ea", panel="#e9e4d9", text="#36322d", quiet="#77706a",
            rule="#cfc7b9", accent="#b04a14", validation="#1f6f9e", warning="#8f6200", error="#b3261e",
            success="#3d7130", overlays=("#75509c", "#4f7a45", "#77706a"),
        ),
        _theme(
            "daylight", dark=False, ground="#ffffff", surface="#f6f8fa", panel="#e7ecf1", text="#22272e",
            quiet="#636c76", rule="#c9d1d9", accent="#0a5cc2", validation="#b35900", warning="#8a5d00",
            error="#c21c1c", success="#1a7333", overlays=("#7a46b8", "#2f7d6d", "#636c76"),
        ),
        _theme(
            "contrast", dark=True, ground="#000000", surface="#000000", panel="#1f1f1f", text="#ffffff",
            quiet="#d0d0d0", rule="#ffffff", accent="#ffd700", validation="#5fd7ff", warning="#ffaf00",
            error="#ff6e6e", success="#87ff87", overlays=("#ff9cff", "#87ffaf", "#d0d0d0"),
        ),
        _console(),
    )
}  # fmt: skip

ABOUT: dict[str, str] = {
    "forge": "dark, ember",
    "anvil": "dark, steel blue",
    "moss": "dark, green",
    "paper": "light, warm",
    "daylight": "light, blue",
    "contrast": "black and white, high contrast",
    "console": "the terminal's own 16 colours",
}
"""A word or two on each, for the palette and the documentation."""
