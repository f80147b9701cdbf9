"""How answers are sampled: one field for each setting."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import msgspec
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input

from engine.errors import UsageError
from engine.model.sampling import SamplingSettings
from engine.typed import decode_json
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import plain, sanitize
from forge_tui.widgets.plain import Plain

ABOUT = {
    "temperature": "0: always the likeliest token",
    "top_k": "only the k likeliest; 0: all",
    "top_p": "likeliest of this share; 1: all",
    "min_p": "at least so likely; 0: all",
    "repetition_penalty": "above 1: repeats itself less",
    "max_tokens": "longest answer",
    "seed": "same seed, same answer; empty: any",
    "stop": "ends before such texts; commas",
}


class Sampling(ForgeModal[SamplingSettings]):
    """Answers the settings, or None for esc."""

    HEADING = "How answers are sampled"
    BINDINGS = bindings("form")

    def __init__(self, settings: SamplingSettings) -> None:
        super().__init__()
        self._settings = settings

    def content(self) -> ComposeResult:
        """A field and a word on each setting."""
        with VerticalScroll(id="sampling", can_focus=False):
            for name, text in shown(self._settings).items():
                with Horizontal(classes="form-row"):
                    yield Plain(name.replace("_", " "), classes="form-label")
                    yield Input(sanitize(text), id=f"field-{name}", compact=True, classes="form-field")
                    yield Plain(ABOUT[name], classes="form-about")
        yield Plain(classes="objection")

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one("#field-temperature").focus()

    def action_accept(self) -> None:
        """Answer, or say which field is wrong."""
        values = {name: self.query_one(f"#field-{name}", Input).value for name in ABOUT}
        try:
            self.dismiss(settings_of(values))
        except UsageError as error:
            self.query_one(".objection", Plain).show(plain(f"! {error.text}", app_of(self).palette.warning))

    def action_defaults(self) -> None:
        """The values that everybody starts with."""
        for name, text in shown(SamplingSettings()).items():
            self.query_one(f"#field-{name}", Input).value = text

    def action_next_field(self, change: int) -> None:
        """The field below or above."""
        if change > 0:
            self.focus_next(".form-field")
        else:
            self.focus_previous(".form-field")


def shown(settings: SamplingSettings) -> dict[str, str]:
    """The settings as they are typed."""
    values = asdict(settings)
    values["seed"] = "" if settings.seed is None else settings.seed
    values["stop"] = ", ".join(settings.stop)
    return {name: f"{values[name]:g}" if isinstance(values[name], float) else str(values[name]) for name in ABOUT}


def settings_of(values: dict[str, str]) -> SamplingSettings:
    """The settings as typed.

    Raises:
        UsageError: one of them is wrong; names it.
    """
    kinds = {field.name: field.type for field in fields(SamplingSettings)}
    found: dict[str, Any] = {}
    for name, text in values.items():
        clean = text.strip()
        if name == "stop":
            found[name] = tuple(part.strip() for part in clean.split(",") if part.strip())
        elif name == "seed" and not clean:
            found[name] = None
        else:
            number = float if kinds[name] == "float" else int
            try:
                found[name] = number(clean.replace(",", ".") if number is float else clean)
            except ValueError:
                what = "a number" if number is float else "a whole number"
                raise UsageError(f"{name.replace('_', ' ')} must be {what}.") from None
    return SamplingSettings(**found)


def stored(settings: SamplingSettings) -> str:
    """The settings as the app remembers them."""
    return msgspec.json.encode(settings).decode()


def remembered(text: str) -> SamplingSettings:
    """The settings that the app remembers; the defaults when there are none that can be used."""
    try:
        return decode_json(text, SamplingSettings)
    except (msgspec.MsgspecError, UsageError, ValueError):
        return SamplingSettings()
