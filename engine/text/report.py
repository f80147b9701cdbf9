"""What a check of training data found: counts, findings, lengths, advice; plain data for a screen or for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from msgspec import to_builtins

from engine.text.conversation import Document
from engine.text.findings.catalogue import RULES
from engine.text.findings.finding import Finding


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file."""

    name: str
    """As it was named."""
    format: str
    """A key of formats.FORMATS; empty when the file could not be read."""
    label: str
    """Format and certainty for people: "Q/A, certain"."""
    why: str
    """Why the sniffer thinks so."""
    documents: int
    turns: int
    lines: int
    """All lines, blank ones and comments too."""
    text_lines: int
    """Lines that are neither blank nor a comment."""
    bytes: int
    """UTF-8 bytes of the documents' text."""
    lost_lines: int
    """Lines that are in no document, comments and blank lines apart."""


@dataclass(frozen=True, slots=True)
class Counts:
    """All files together."""

    files: int
    documents: int
    turns: int
    lines: int
    words: int
    bytes: int
    tokens: int | None
    """Exact, when a tokenizer counted; otherwise None."""
    tokens_estimated: int
    """Exact where `tokens` is, an estimate otherwise."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram of document lengths."""

    low: int
    """Fewest tokens."""
    high: int
    """Most tokens."""
    documents: int


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    files: tuple[FileReport, ...]
    findings: tuple[Finding, ...]
    """Grouped by kind and file, the gravest first."""
    counts: Counts
    histogram: tuple[Bar, ...]
    """Lengths in tokens, in powers of two, without the empty ends."""
    recommended: str
    """The size that suits the text."""
    recommendation: tuple[str, ...]
    """Why, and what the chosen size would do with it."""
    preview: tuple[Document, ...]
    """The first documents, shortened."""
    seconds: float
    """How long the check took."""

    @property
    def usable(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings) and self.counts.documents > 0

    @property
    def loses_nothing(self) -> bool:
        """Whether the errors leave all text in its documents, so that one may go on all the same."""
        errors = [finding for finding in self.findings if finding.severity == "error"]
        return self.counts.documents > 0 and not any(RULES[finding.code].loses for finding in errors)

    def count(self, severity: str) -> int:
        """How many findings there are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        fields = asdict(replace(self, preview=()))
        fields["preview"] = to_builtins(self.preview)
        return {"usable": self.usable, "loses_nothing": self.loses_nothing, **fields}
