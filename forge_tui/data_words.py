"""What is known of training data, in words and bars: counts, lengths, findings, which size it suits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from engine.text.format_names import LABELS
from forge_tui import figures
from forge_tui.data_checks import Checked
from forge_tui.glyphs import Glyphs
from forge_tui.palette import Palette
from forge_tui.palette import severity as level
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.fact_list import Fact

if TYPE_CHECKING:
    from engine.text.findings.finding import Finding
    from engine.text.report import Bar, Report

SEVERITIES = ("error", "warning", "hint")
MOST_BARS = 9


def severity_glyph(severity: str, glyphs: Glyphs) -> str:
    """The sign of a severity."""
    return {"error": glyphs.bad, "warning": glyphs.warn}.get(severity, glyphs.hint)


def verdict(report: Report, palette: Palette, glyphs: Glyphs) -> Text:
    """`✗ 1 error  ! 2 warnings  · 3 hints`, or that all is well."""
    parts = []
    for severity in SEVERITIES:
        count = report.count(severity)
        if count:
            word = severity if count == 1 else f"{severity}s"
            parts.append(plain(f"{severity_glyph(severity, glyphs)} {count} {word}", level(palette, severity)))
    return join(*parts, gap="  ") if parts else plain(f"{glyphs.good} nothing found", palette.good)


def badge(report: Report, palette: Palette, glyphs: Glyphs) -> Text:
    """The same in four cells: the gravest kind and how many there are of it."""
    for severity in SEVERITIES[:2]:
        count = report.count(severity)
        if count:
            return plain(f"{severity_glyph(severity, glyphs)}{count}", level(palette, severity))
    return plain(glyphs.good, palette.good)


def tokens_words(checked: Checked, glyphs: Glyphs) -> str:
    """`~41,930 tokens`: the sign says that they were estimated."""
    return f"{'' if checked.exact else glyphs.about}{checked.tokens:,} tokens"


def facts_of(checked: Checked, size: str | None, palette: Palette, glyphs: Glyphs) -> list[Fact]:
    """Everything there is to say about checked data.

    Args:
        checked: The result of the check.
        size: The size of the ladder that would be trained, for words on the amount.
        palette: Styles.
        glyphs: Signs.
    """
    report, counts = checked.report, checked.report.counts
    facts: list[Fact] = []
    if len(report.files) == 1 and report.files[0].format:
        file = report.files[0]
        facts.append(("", join(plain(file.label, palette.strong), plain(f"({file.why})", palette.quiet))))
    elif len(report.files) > 1:
        formats = sorted({LABELS[file.format] for file in report.files if file.format})
        facts.append(("", plain(f"{counts.files} files: {', '.join(formats)}", palette.strong)))
    dot = f" {glyphs.separator} "
    kind = "dialogue" if counts.turns > counts.documents else "document"
    numbers = [figures.counted(counts.lines, "line"), figures.counted(counts.documents, kind)]
    numbers += [figures.counted(counts.turns, "turn")] if counts.turns > counts.documents else []
    facts.append(("", dot.join([*numbers, figures.counted(counts.words, "word"), figures.size(counts.bytes)])))
    tokens = plain(tokens_words(checked, glyphs), palette.strong)
    facts.append(("", join(tokens, plain(_counter(checked), palette.quiet))))
    if report.histogram:
        facts += [("", ""), ("", plain("length of a document in tokens", palette.quiet))]
        facts += _bars(report, palette, glyphs)
    facts += [("", ""), ("", verdict(report, palette, glyphs))]
    if counts.documents:
        facts.append(("", ""))
        facts += [("", sentence) for sentence in advice(checked, size)]
    return facts


def _counter(checked: Checked) -> str:
    if checked.exact:
        return f"with the model's own {checked.vocabulary:,} token tokenizer"
    return f"estimated for a tokenizer of {checked.vocabulary:,}; the first run builds it"


def advice(checked: Checked, size: str | None) -> tuple[str, ...]:
    """Which size the data suit, and what the chosen one would do with them."""
    from engine.sizes import size_named
    from engine.text.findings.amount import advise, equivalent_lines

    report = checked.report
    lines = equivalent_lines(sum(file.text_lines for file in report.files), report.counts.turns, report.counts.bytes)
    if size is not None:
        size_named(size)
    return advise(lines, checked.tokens, checked.vocabulary, size, exact=checked.exact).sentences


def _bars(report: Report, palette: Palette, glyphs: Glyphs) -> list[Fact]:
    """The histogram of lengths, with neighbours joined until it has few bars."""
    bars = merged(report.histogram)
    most = max((bar.documents for bar in bars), default=0)
    spans = [f"{figures.count(bar.low)}-{figures.count(bar.high)}" for bar in bars]
    width = max((len(span) for span in spans), default=0)
    rows: list[Fact] = []
    for bar, span in zip(bars, spans, strict=True):
        length = max(1 if bar.documents else 0, round(16 * bar.documents / most))
        line = Text(f"{span:>{width}} ", style=palette.quiet, end="")
        line.append(glyphs.bar * length, style=palette.accent)
        line.append(f" {bar.documents:,}", style=palette.text)
        rows.append(("", line))
    return rows


def merged(bars: Sequence[Bar], most: int = MOST_BARS) -> list[Bar]:
    """The same lengths in at most `most` bars: the thin ends are put together."""
    left = list(bars)
    while len(left) > most:
        if left[0].documents <= left[-1].documents:
            left[:2] = [Bar(left[0].low, left[1].high, left[0].documents + left[1].documents)]
        else:
            left[-2:] = [Bar(left[-2].low, left[-1].high, left[-2].documents + left[-1].documents)]
    return left


def finding_words(finding: Finding) -> str:
    """`answers of fewer than five words (12)`."""
    times = f" ({finding.count:,})" if finding.count > 1 else ""
    return f"{finding.message}{times}"


def finding_fix(finding: Finding) -> str:
    """What to do, and what the numbers are."""
    detail = one_line(finding.detail, 300)
    return " ".join(part for part in (detail + ("." if detail and detail[-1].isalnum() else ""), finding.fix) if part)
