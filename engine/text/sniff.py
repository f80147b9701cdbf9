"""Which format a file is in, how sure that is, and why."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.text.format_names import LABELS
from engine.text.readers.header import docstring_lines
from engine.text.readers.prose import HEADING, SEPARATOR
from engine.text.readers.record import KNOWN_COLUMNS
from engine.text.readers.speakers import ROLES
from engine.text.source import TextSource, open_regular, open_text

MOST_CHANGES = 100
"""Changes of format that are listed."""

Certainty = Literal["certain", "likely", "guess"]

_WORDS = "|".join(sorted(ROLES, key=len, reverse=True))
_LINES = re.compile(
    rf"^[ \t]*(?:(?P<word>{_WORDS})[:：]|(?P<chatml><\|im_start\|>)"
    r"|(?P<instruction>\#\#\#[ ](?:Instruction|Input|Response)\b))",
    re.MULTILINE,
)
_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```|[-*+] \S|\d{1,3}[.)] \S|> |\|.*\|$|={3,}$|-{3,}$)", re.MULTILINE)
_EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".md": "markdown",
    ".markdown": "markdown",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Sniff:
    """What format a file is in."""

    format: str
    """A key of formats.FORMATS."""
    certainty: Certainty
    """How sure that is."""
    why: str
    """The evidence, in words."""
    changes: tuple[tuple[int, str], ...] = ()
    """Lines of the sample where another format begins, with its name; empty when there is only one."""

    @property
    def label(self) -> str:
        """Format and certainty for people: "Q/A, certain"."""
        return f"{LABELS[self.format]}, {self.certainty}"


def sniff(path: Path | str) -> Sniff:
    """The format of a file, from its first megabyte.

    Raises:
        DataError: the file cannot be opened as text; see source.open_text.
    """
    handle, _, _ = open_regular(path)
    with handle:
        if handle.read(4) == b"PAR1":
            return Sniff("parquet", "certain", "it starts with Parquet's signature")
    with open_text(path) as source:
        return sniff_source(source)


def sniff_source(source: TextSource) -> Sniff:
    """The same for an open file, without using up its text."""
    head = source.head()
    whole = len(head) >= source.size and not source.packed
    cut = len(head) if whole else head.rfind(b"\n") + 1 or len(head)
    text = head[:cut].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    name = source.path.name.lower().removesuffix(".gz")
    extension = _EXTENSIONS.get(Path(name).suffix, "")
    header = docstring_lines(source)
    return sniff_text(text, extension=extension, header=header)


def sniff_text(text: str, *, extension: str = "", header: int = 0) -> Sniff:
    """The format of `text` (the start of a file), whose name suggests `extension`, after `header` lines."""
    first = next((line for line in text.split("\n", 200)[:200] if line.strip()), "")
    by_json = _json_kind(text, first, extension)
    if by_json:
        return by_json
    if extension in ("csv", "tsv"):
        return Sniff(extension, "certain", f"the name ends in .{extension}")
    by_marker = _marker_kind(text, header)
    if by_marker and (
        by_marker.certainty == "certain" or (by_marker.certainty == "likely" and extension != "markdown")
    ):
        return by_marker
    by_table = _table_kind(first, text)
    if by_table:
        return by_table
    lines = text.count("\n") + 1
    if f"\n{SEPARATOR}\n" in text and not by_marker:
        return Sniff("text-whole", "likely", "<|endoftext|> lines divide it into documents")
    if extension == "markdown":
        return Sniff("markdown", "certain", "the name ends in .md")
    if by_marker:
        return by_marker
    signs = len(_MARKDOWN.findall(text))
    if re.search(r"^#{1,6} \S", text, re.MULTILINE) and signs >= max(2, lines // 50):
        return Sniff("markdown", "likely", f"{signs:,} of {lines:,} lines are headings, lists or fences")
    return _prose_kind(text, lines)


def _json_kind(text: str, first: str, extension: str) -> Sniff | None:
    start = first.lstrip()[:1]
    if start not in ("{", "["):
        return Sniff(extension, "guess", f"the name ends in .{extension}") if extension in ("json", "jsonl") else None
    if start == "{":
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            looks_cut = len(first) > 65536 or re.match(r'\s*\{\s*"', first)
            if extension == "jsonl":
                return Sniff("jsonl", "likely", "the name ends in .jsonl")
            if extension == "json" or (looks_cut and first.strip() == "{") or first.strip() == "{":
                return Sniff("json", "likely", "it starts with an open brace")
            return Sniff("jsonl", "guess", "its first line starts like a JSON object") if looks_cut else None
        alone = extension != "jsonl" and not text.strip()[len(first.strip()) :].strip()
        if alone and (extension == "json" or not KNOWN_COLUMNS & value.keys()):
            return Sniff("json", "certain", "it is one JSON object")
        return Sniff("jsonl", "certain", "its first line is a JSON object")
    if extension == "json":
        return Sniff("json", "certain", "it starts with a bracket and the name ends in .json")
    if re.match(r"\s*\[\s*[\[{\"]", text):
        return Sniff("jsonl" if _is_list(first) and "\n[" in text else "json", "likely", "it starts with a JSON list")
    return None


def _is_list(line: str) -> bool:
    try:
        return isinstance(json.loads(line), list)
    except (ValueError, RecursionError):
        return False


def _marker_kind(text: str, header: int) -> Sniff | None:
    """The format by the markers at line starts, when they are what the file is made of."""
    families: list[tuple[str, str, int]] = []  # family, role, offset
    for match in _LINES.finditer(text):
        if match["word"]:
            family, role = ROLES[match["word"]]
            families.append((family, role, match.start()))
        else:
            kind = "chatml" if match["chatml"] else "instruction"
            families.append(
                (kind, "user" if kind == "chatml" or "Instruction" in match[0] else "assistant", match.start())
            )
    counts: dict[str, int] = {}
    for family, _, _ in families:
        counts[family] = counts.get(family, 0) + 1
    if not counts:
        return None
    best = _leading_family(families, counts)
    asked = sum(family == best and role in ("user", "system") for family, role, _ in families)
    answered = counts[best] - asked
    opening = next(offset for family, _, offset in families if family == best)
    before = [line for line in text[:opening].split("\n")[header:] if line.strip() and not line.startswith("#")]
    lines = text.count("\n") + 1
    if best == "chatml":
        return Sniff(best, "certain" if not before else "likely", f"{counts[best]:,} <|im_start|> messages")
    if best not in ("instruction",) and not (asked and answered):
        if before or not counts[best] > lines // 4:
            return None
        return Sniff(best, "guess", f"{asked:,} questions and {answered:,} answers at line starts")
    if len(before) > 5 and (len(before) > lines // 10 or counts[best] < lines // 50):
        return None  # a book with one "Q:" in it is a book
    why = f"{asked:,} questions and {answered:,} answers at line starts"
    balanced = abs(asked - answered) <= max(1, counts[best] // 10)
    certain = not before and balanced
    return Sniff(best, "certain" if certain else "likely", why, _changes(text, families, best))


def _leading_family(families: list[tuple[str, str, int]], counts: dict[str, int]) -> str:
    """The family that a file is made of; ChatML and instructions may hold the other markers in their texts."""
    for kind in ("chatml", "instruction"):
        if counts.get(kind, 0) >= 2 and (families[0][0] == kind or 2 * counts[kind] >= len(families)):
            return kind
    return max(counts, key=lambda kind: (counts[kind], kind))


def _changes(text: str, families: list[tuple[str, str, int]], best: str) -> tuple[tuple[int, str], ...]:
    """Where a question of another family opens a block, and where the first family comes back."""
    changes: list[tuple[int, str]] = []
    current, line, position = families[0][0], 1, 0
    if current != best:
        changes.append((1, current))
    for family, role, offset in families:
        if family == current or role == "assistant" or (family == "chat" and role == "system"):
            continue
        before = text.rfind("\n", 0, max(offset - 1, 0))
        previous = text[before + 1 : max(offset - 1, 0)].strip()
        if previous and not previous.startswith("#"):
            continue
        line += text.count("\n", position, offset)
        position, current = offset, family
        changes.append((line, family))
        if len(changes) >= MOST_CHANGES:
            break
    return tuple(changes)


def _table_kind(first: str, text: str) -> Sniff | None:
    """CSV or TSV by a header with known column names and rows with as many fields."""
    for kind, delimiter in (("tsv", "\t"), ("csv", ",")):
        names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
        if len(names) > 1 and len(set(names)) == len(names) and len(set(names) & KNOWN_COLUMNS) >= 2:
            return Sniff(kind, "likely", f"its first line names the columns {', '.join(names)[:60]}")
    return None


def _prose_kind(text: str, lines: int) -> Sniff:
    headings = _headings(text)
    if headings >= 3:
        return Sniff("text-headings", "likely", f"{headings:,} chapter headings after blank lines")
    blanks = len(re.findall(r"\n[ \t]*\n", text))
    if blanks:
        return Sniff("text", "likely", f"{lines:,} lines without markers, with blank lines between blocks")
    return Sniff("text", "likely", f"{lines:,} lines without markers or blank lines")


def _headings(text: str) -> int:
    count, after_blank = 0, True
    for line in text.split("\n"):
        if after_blank and line and HEADING.match(line):
            count += 1
        after_blank = not line.strip()
    return count
