"""A document of a data file as rows of a width: who says what, or how each token is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.text.sanitize import sanitize
from forge_tui.glyphs import Glyphs
from forge_tui.text import one_line
from forge_tui.wrapping import wrap_line

if TYPE_CHECKING:
    from engine.text.conversation import Document, Turn
    from engine.text.mask import Span
    from engine.text.pieces import Entry

LABEL = 10
"""Cells of the column that says who speaks."""
NARROW = 44
"""Below this width the column is only as wide as one letter needs."""
SHOWN = 1 << 16
"""Characters of one turn that are shown."""
MASKED_SHOWN = 1 << 15
"""Characters of one document whose mask is shown."""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One line of the preview."""

    parts: tuple[tuple[str, str], ...]
    """Text and the name of its style; sanitised."""
    line: int = 0
    """The line within the piece that it stands on; 0 for none."""
    head: bool = False
    """Whether it opens an entry: number and line are put there when it is drawn."""


def text_rows(entry: Entry, width: int, glyphs: Glyphs) -> list[PreviewRow]:
    """An entry with its turns, or with its lines that are in no document."""
    from engine.text.findings.catalogue import RULES

    rows = [PreviewRow((), entry.first_line, head=True)]
    if entry.document is None:
        rows += _lost_rows(entry, width)
    else:
        for note in entry.notes:
            rule = RULES[note.code]
            about = f"{glyphs.warn if rule.severity != 'hint' else glyphs.hint} {rule.message}"
            rows += [PreviewRow(((row, rule.severity),), note.line) for row in wrap_line(about, width)]
        for turn in entry.document.turns:
            rows += _turn_rows(turn, entry.first_line - entry.document.first_line, width, glyphs)
    rows.append(PreviewRow(()))
    return rows


def _lost_rows(entry: Entry, width: int) -> list[PreviewRow]:
    from engine.text.findings.catalogue import RULES

    label = width >= NARROW
    rows = []
    word = "goes on" if entry.torn else "left out" if entry.problem else "comment"
    style = "warning" if entry.problem else "quiet"
    if entry.problem:
        rows.append(PreviewRow(((f"! {RULES[entry.problem].message}"[:width], "warning"),), entry.first_line))
    for number, line in enumerate(entry.text[:SHOWN].split("\n")):
        for row in wrap_line(sanitize(line, SHOWN), width - (LABEL if label else 2)):
            shown = word if label else "!" if entry.problem else "#"
            rows.append(PreviewRow(((_label(shown, label), style), (row, "quiet")), entry.first_line + number))
            word = ""
    rows += _cut(len(entry.text) - SHOWN)
    return rows


def _label(word: str, wide: bool) -> str:
    return f"{word:<{LABEL}}" if wide else f"{word[:1].upper():<2}"


def _turn_rows(turn: Turn, shift: int, width: int, glyphs: Glyphs) -> list[PreviewRow]:
    wide = width >= NARROW
    prose = turn.role == "text"
    room = width - (0 if prose else LABEL if wide else 2)
    rows = []
    first = True
    inside = turn.role == "tool"
    for number, line in enumerate(turn.text[:SHOWN].split("\n")):
        at = min(turn.first_line + number, max(turn.first_line, turn.last_line)) + shift
        tagged = inside or "<tool_" in line
        if tagged and turn.role != "tool":
            inside = line.rfind("<tool_") > line.rfind("</tool_") or (inside and "</tool_" not in line)
        edge = f"{glyphs.edge}" if tagged and not prose else ""
        for row in wrap_line(sanitize(line, SHOWN), room - len(edge)):
            parts = [] if prose else [(_label(turn.role if first else "", wide), f"{turn.role}-label")]
            parts += [(edge, "tool")] if edge else []
            rows.append(PreviewRow((*parts, (row, "tool" if tagged else turn.role)), at))
            first = False
    return rows + _cut(len(turn.text) - SHOWN)


def _cut(rest: int) -> list[PreviewRow]:
    return [PreviewRow(((f"({rest:,} more characters: e opens the editor)", "quiet"),))] if rest > 0 else []


# ---- the mask


@dataclass(frozen=True, slots=True)
class MaskedDocument:
    """How a document is trained on."""

    spans: tuple[Span, ...]
    exact: bool
    """Whether its tokens are known, rather than its characters."""
    weight: float
    """The prompt weight."""
    rest: int = 0
    """Characters that are not shown."""


def mask_rows(entry: Entry, masked: MaskedDocument | None, width: int, glyphs: Glyphs) -> list[PreviewRow]:
    """An entry with a sign before each line that says how its tokens are trained on."""
    if entry.document is None or masked is None:
        return text_rows(entry, width, glyphs)
    rows = [PreviewRow((), entry.first_line, head=True)]
    signs = {"trained": glyphs.trained, "weighted": glyphs.weighted, "masked": glyphs.masked}
    for span in masked.spans:
        if span.kind == "split":
            words = " a new row begins here "
            rows.append(PreviewRow(((f"{glyphs.line * 2}{words}{glyphs.line * max(0, width - 26)}"[:width], "quiet"),)))
            continue
        text = sanitize(span.text, SHOWN)
        pieces = text.split("\n")
        for index, line in enumerate(pieces):
            last = index == len(pieces) - 1
            if last and not line and index:
                continue
            for row in wrap_line(line + ("" if last else f"{glyphs.return_}"), width - 2):
                rows.append(PreviewRow(((f"{signs[span.kind]} ", f"{span.kind}-sign"), (row, span.kind))))
    rows += _cut(masked.rest)
    rows.append(_share_row(masked, width, signs, glyphs))
    rows.append(PreviewRow(()))
    return rows


def _share_row(masked: MaskedDocument, width: int, signs: dict[str, str], glyphs: Glyphs) -> PreviewRow:
    """`trained ████▒▒▒░░░  62 % of 57 tokens`."""
    sizes = [(span.kind, span.tokens) for span in masked.spans if span.kind != "split"]
    total = sum(size for _, size in sizes)
    share = 100 * sum(size for kind, size in sizes if kind == "trained") / max(1, total)
    unit = "tokens" if masked.exact else "characters"
    words = f"  {share:.0f}% of {total:,} {unit}"
    bar = max(4, min(40, width - len(words) - 8))
    parts = [("trained ", "quiet")]
    done = drawn = 0
    for kind, size in sizes:
        done += size
        cells = round(bar * done / max(1, total)) - drawn
        drawn += cells
        parts.append((signs[kind] * cells, f"{kind}-sign"))
    return PreviewRow((*parts, (words, "text")))


def by_roles(document: Document, weight: float) -> MaskedDocument:
    """The mask where no tokenizer is known: whose words are trained on, with lengths in characters."""
    from engine.text.chat_template import document_segments
    from engine.text.mask import Span, weight_of

    spans: list[Span] = []
    for text, kind, _ in document_segments(shortened(document).turns):
        share = weight_of(kind, weight)
        name = "masked" if share == 0 else "trained" if share == 1 else "weighted"
        if spans and spans[-1].kind == name:
            spans[-1] = Span(spans[-1].text + text, spans[-1].kind, spans[-1].tokens + len(text))
        else:
            spans.append(Span(text, name, len(text)))  # type: ignore[arg-type]
    return MaskedDocument(tuple(spans), False, weight, _rest(document))


def by_tokens(document: Document, spans: Sequence[Span], weight: float) -> MaskedDocument:
    """The mask as `engine.text.mask` tells it of the shortened document."""
    return MaskedDocument(tuple(spans), True, weight, _rest(document))


def shortened(document: Document) -> Document:
    """The part of a document whose mask is shown."""
    if _rest(document) == 0:
        return document
    turns, left = [], MASKED_SHOWN
    for turn in document.turns:
        if left <= 0:
            break
        turns.append(replace(turn, text=turn.text[:left]))
        left -= len(turn.text)
    return replace(document, turns=tuple(turns))


def _rest(document: Document) -> int:
    return max(0, sum(len(turn.text) for turn in document.turns) - MASKED_SHOWN)


def head_words(entry: Entry, number: int | None, line: int | None, total: int | None) -> tuple[str, str]:
    """What the rule above an entry says, and the name of its style."""
    where = f"line {line:,}" if line is not None and line > 0 else ""
    if entry.document is None:
        return where, "rule"
    kind = "text" if entry.document.is_prose else "dialogue"
    name = f"{kind} {number:,}" if number is not None else kind
    note = f" - {one_line(entry.document.note, 60)}" if entry.document.note else ""
    return f"{name}{f', {where}' if where else ''}{note}", "rule"
