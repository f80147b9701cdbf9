"""Documents written in the formats that a conversion can choose; what a format cannot hold is refused, never bent.

Whether a format holds a document is decided by reading back what was written: the turns must be the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from engine.text.conversation import Document, Turn
from engine.text.problem import Problem
from engine.text.readers.json_lines import read_json_lines
from engine.text.readers.prose import CHAPTER_LIMIT, SEPARATOR, read_whole
from engine.text.readers.speakers import MARKER, content_end, read_speakers
from engine.text.source import text_source

_NEEDS_ESCAPE = re.compile(rf"[ \t]*\\*(?:{MARKER.pattern}|#|{re.escape(SEPARATOR)}\Z)")
_ESCAPED_ALREADY = re.compile(rf"[ \t]*\\+(?:{MARKER.pattern}|#)")
_WORDS = {
    "qa": {"user": "Q", "assistant": "A", "system": "System"},
    "chat": {"user": "User", "assistant": "Assistant", "system": "System"},
}


def written(document: Document, target: str) -> str | None:
    """`document` in the format `target` (a key of WRITERS), ready to be appended to a file; None when it cannot."""
    text = WRITERS[target](document)
    if text is None or "\r" in text or "\0" in text:
        return None
    wanted = [(turn.role, turn.text) for turn in document.turns]
    found = [[(turn.role, turn.text) for turn in other.turns] for other in _read(text, target)]
    return text if found == [wanted] else None


def _read(text: str, target: str) -> list[Document]:
    def ignore(problem: Problem) -> None:
        """What cannot be placed shows in the comparison."""

    source = text_source(text)
    if target == "jsonl":
        return list(read_json_lines(source, ignore, None))
    if target == "text":
        return list(read_whole(source, ignore))
    return list(read_speakers(source, ignore, target))


def _json_lines(document: Document) -> str | None:
    record: dict[str, object]
    if document.is_prose:
        record = {"text": document.turns[0].text}
    else:
        record = {"messages": [{"role": turn.role, "content": turn.text} for turn in document.turns]}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _prose(document: Document) -> str | None:
    if not document.is_prose or len(document.turns[0].text) > CHAPTER_LIMIT:
        return None
    text = document.turns[0].text
    # Quotes at the very top of a file would be read as a docstring about it, together with what follows them.
    above = f"{SEPARATOR}\n" if '"""' in text or "'''" in text else ""
    return f"{above}{text}\n{SEPARATOR}\n"


def _speakers(target: str) -> Callable[[Document], str | None]:
    words = _WORDS[target]

    def write(document: Document) -> str | None:
        if any(turn.role == "text" for turn in document.turns):
            return None
        pieces: list[str] = []
        for turn in _joined(document.turns):
            first, *rest = turn.text.split("\n")
            if first[:1] in (" ", "\t", "") or _ESCAPED_ALREADY.match(first):
                first, rest = "", [first, *rest]
            pieces.append("\n".join([f"{words[turn.role]}: {first}".rstrip(" "), *_escaped(rest)]))
        return "\n".join(pieces) + "\n\n"

    return write


def _joined(turns: tuple[Turn, ...]) -> list[Turn]:
    """Tool results and what follows them put back into the assistant's turn, each on its own lines."""
    joined: list[Turn] = []
    for turn in turns:
        goes_on = turn.role == "tool" or (turn.role == "assistant" and joined and joined[-1].role == "tool")
        if joined and goes_on:
            joined[-1] = Turn("tool" if turn.role == "tool" else "assistant", f"{joined[-1].text}\n{turn.text}")
        else:
            joined.append(turn)
    return [Turn("assistant", turn.text) if turn.role == "tool" else turn for turn in joined]


def _escaped(lines: list[str]) -> list[str]:
    """Lines with a backslash before what a reader would take for a marker or a comment."""
    comments_from = content_end(["", *lines]) - 1
    escaped = []
    for index, line in enumerate(lines):
        comment = line.lstrip(" \t").lstrip("\\").startswith("#")
        harmless = comment and index < comments_from and not line.lstrip(" \t").startswith("\\")
        if _NEEDS_ESCAPE.match(line) and not harmless:
            indent = len(line) - len(line.lstrip(" \t"))
            escaped.append(f"{line[:indent]}\\{line[indent:]}")
        else:
            escaped.append(line)
    return escaped


WRITERS: dict[str, Callable[[Document], str | None]] = {
    "jsonl": _json_lines,
    "qa": _speakers("qa"),
    "chat": _speakers("chat"),
    "text": _prose,
}
"""The targets of a conversion."""
