"""The report of a check as plain aligned text, readable without colour and at 80 columns."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.text.findings.finding import Finding
from engine.text.report import FileReport, Report
from engine.text.sanitize import one_line, sanitize
from forge_tui.printing import width

if TYPE_CHECKING:
    from engine.text.conversation import Document
    from engine.text.mask import Span

WIDEST = 100
"""Columns that the report uses at most."""
PREVIEW_LINES = 6
"""Lines of a turn that the preview shows."""
BAR = 40
"""Width of the longest bar of the histogram."""

OWN_WORDS = ("unreadable", "not_utf8")
"""Findings whose examples are our own sentences: they are shown whole."""

MASK_SIGNS = {"trained": "=", "weighted": "~", "masked": ".", "split": "|"}
"""How the kinds of the mask view are told apart without colour."""

Write = Callable[[str], None]


def put_report(report: Report, write: Write) -> None:
    """The whole report, from the files to the verdict."""
    columns = min(WIDEST, width(sys.stdout))
    for file in report.files:
        write(_file_line(file))
    counts = report.counts
    tokens = f"{counts.tokens:,}" if counts.tokens is not None else f"about {counts.tokens_estimated:,}"
    write("")
    write(
        f"{counts.documents:,} documents · {counts.turns:,} turns · {counts.lines:,} lines · {counts.words:,} words · "
        f"{counts.bytes:,} bytes · {tokens} tokens"
    )
    _put_preview(report, write, columns)
    _put_histogram(report, write)
    _put_findings(report, write, columns)
    if counts.documents:
        write("")
        for sentence in report.recommendation:
            for line in textwrap.wrap(sentence, columns):
                write(line)
    write("")
    write(verdict(report))


def verdict(report: Report) -> str:
    """Whether the data can be used, in one line."""
    kinds = [(report.count(severity), severity) for severity in ("error", "warning", "hint")]
    found = ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in kinds)
    if report.usable:
        return f"usable: {found}"
    how = "; --force trains on it all the same" if report.loses_nothing else ""
    return f"not usable: {found}{how}"


def _file_line(file: FileReport) -> str:
    name = one_line(file.name, 60)
    if not file.format:
        return f"{name}  not read"
    return f"{name}  {file.label} · {file.lines:,} lines · {file.documents:,} documents\n    {one_line(file.why, 90)}"


def _put_preview(report: Report, write: Write, columns: int) -> None:
    for document in report.preview[:1]:
        write("")
        write(f"the first document ({one_line(document.file, 50)}:{document.first_line})")
        for turn in document.turns[:4]:
            lines = sanitize(turn.text, columns - 13).split("\n")
            for index, line in enumerate(lines[:PREVIEW_LINES]):
                label = turn.role if index == 0 else ""
                write(f"  {label:<9}  {line}"[: columns + 1])
            if len(lines) > PREVIEW_LINES:
                write(f"             ({len(lines) - PREVIEW_LINES} more lines)")
        if len(document.turns) > 4:
            write(f"  ({len(document.turns) - 4} more turns)")


def _put_histogram(report: Report, write: Write) -> None:
    if not report.histogram:
        return
    exact = "" if report.counts.tokens is not None else ", estimated"
    write("")
    write(f"length of the documents in tokens{exact}")
    most = max(bar.documents for bar in report.histogram)
    for bar in report.histogram:
        size = round(BAR * bar.documents / most)
        write(f"  {bar.low:>7,} to {bar.high:<9,} {bar.documents:>9,}  {'#' * max(size, bar.documents > 0)}".rstrip())


def _put_findings(report: Report, write: Write, columns: int) -> None:
    if not report.findings:
        return
    write("")
    write("findings")
    for finding in report.findings:
        for line in finding_lines(finding, columns):
            write(line)


def finding_lines(finding: Finding, columns: int) -> list[str]:
    """One finding: what, how often and where; its first places; what to do."""
    times = f" ({finding.count:,} times)" if finding.count > 1 else ""
    head = f"{finding.severity:<8} {finding.message}{times}"
    where = one_line(finding.file, 50)
    lines = textwrap.wrap(f"{head}{': ' + where if where else ''}", columns, subsequent_indent=" " * 9)
    if finding.detail:
        lines.extend(
            textwrap.wrap(one_line(finding.detail, 300), columns, initial_indent=" " * 9, subsequent_indent=" " * 9)
        )
    room = max(columns - 20, 20)
    for example in finding.examples[:3]:
        place = f"{'':9}{f'line {example.line}' if example.line else '':<11}"
        if finding.code in OWN_WORDS:
            lines.extend(textwrap.wrap(example.text, columns, initial_indent=place, subsequent_indent=" " * 20))
        else:
            lines.append(f"{place}{one_line(example.text, room)}".rstrip())
    if finding.count > 3 and len(finding.examples) > 3:
        others = ", ".join(str(example.line) for example in finding.examples[3:] if example.line)
        lines.extend([f"{'':9}and {finding.count - 3:,} more{': lines ' + others + ' …' if others else ''}"])
    lines.extend(textwrap.wrap(f"-> {finding.fix}", columns, initial_indent=" " * 9, subsequent_indent=" " * 12))
    return lines


def mask_lines(document: Document, spans: list[Span], number: int, weight: float, sequence_length: int) -> list[str]:
    """How a document is trained on, one sign at the start of each line."""
    total = sum(span.tokens for span in spans)
    trained = sum(span.tokens for span in spans if span.kind == "trained")
    share = 100 * trained / max(total, 1)
    where = f"{one_line(document.file, 60)}:{document.first_line}"
    lines = [
        f"mask of document {number} ({where}): {total:,} tokens, {share:.0f} % trained in full",
        f"  = trained   ~ weight {weight:g}   . masked   | a new row begins (rows of {sequence_length:,} tokens)",
    ]
    room = min(WIDEST, width(sys.stdout)) - 11
    for span in spans:
        sign = MASK_SIGNS[span.kind]
        if span.kind == "split":
            lines.append(f"  {sign} {'-' * 30}")
            continue
        shown = [
            piece
            for line in sanitize(span.text, 10**9).rstrip("\n").split("\n")
            for piece in ([line[start : start + room] for start in range(0, len(line), room)] or [""])
        ]
        for index, line in enumerate(shown):
            tokens = f"{span.tokens:>5}" if index == 0 else " " * 5
            lines.append(f"  {sign} {tokens}  {line}".rstrip())
    return lines
