"""What a check of a model found."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from engine.library.verification import Finding
from forge_tui.access import app_of
from forge_tui.keys import bindings
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import join, plain
from forge_tui.widgets.fact_list import Fact, FactList


class Findings(ForgeModal[None]):
    """A verdict on every part, the bad ones first."""

    BINDINGS = bindings("reading")

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        bad = sum(finding.verdict == "bad" for finding in findings)
        super().__init__(f"{name}: {bad} damaged" if bad else f"{name}: nothing is damaged")
        self._findings = findings

    def content(self) -> ComposeResult:
        """The verdicts."""
        yield FactList(id="findings")

    def on_mount(self) -> None:
        """Show them."""
        order = {"bad": 0, "unknown": 1, "good": 2}
        facts = [self._fact(finding) for finding in sorted(self._findings, key=lambda found: order[found.verdict])]
        shown = self.query_one(FactList)
        shown.show(facts)
        shown.focus()

    def on_resize(self) -> None:
        """As high as the verdicts, as far as there is room; then they scroll."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        shown = self.query_one(FactList)
        shown.styles.height = max(1, min(shown.lines, int(self.size.height * 0.9) - 4))

    def _fact(self, finding: Finding) -> Fact:
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        glyph, style = {
            "bad": (glyphs.bad, palette.error),
            "unknown": (glyphs.hint, palette.warning),
            "good": (glyphs.good, palette.good),
        }[finding.verdict]
        text = f"{finding.text} {finding.fix}".strip()
        part = finding.part.partition("/")[2] or finding.part
        return part, join(plain(f"{glyph} {finding.verdict}", style), plain(text, palette.text), gap="  ")
