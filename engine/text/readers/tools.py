"""The two tool dialects inside assistant text: JSON tags, and the old function-call tags that become JSON tags."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from engine.text.conversation import Role, Turn

_RESULT, _RESULT_END, _CALL_END = "<tool_result>", "</tool_result>", "</tool_call>"

_OLD = re.compile(
    r"<\|tool_call\|>\s*(?P<tool>[A-Za-z_][\w.]*)\s*\((?P<arguments>(?:(?!<\|tool_).)*?)\)\s*<\|tool_end\|>"
    r"|<\|tool_result\|>(?P<result>(?:(?!<\|tool_).)*?)<\|tool_result_end\|>",
    re.DOTALL,
)
_ARGUMENT = re.compile(
    r"""\s*(?:([A-Za-z_]\w*)\s*=\s*)?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,"']+?)\s*(?:,|\Z)""", re.DOTALL
)

FIRST_PARAMETER = {
    "generate_image": "prompt",
    "generate_code": "prompt",
    "generate_video": "prompt",
    "generate_audio": "prompt",
    "generate_gif": "prompt",
    "web_search": "query",
    "fetch_webpage": "url",
    "read_file": "path",
    "write_file": "path",
    "list_directory": "path",
    "analyze_image": "path",
    "speak": "text",
}
"""Names for an old call's first argument that had none."""


def is_old_dialect(text: str) -> bool:
    """Whether `text` holds tags of the old tool dialect."""
    return "<|tool_call|>" in text or "<|tool_result|>" in text


def from_old_dialect(text: str, note: Callable[[int, str, str], None] | None = None) -> str:
    """`text` with every complete old tag pair written as JSON tags; anything else stays as it is.

    `<|tool_call|>read_file("a.txt")<|tool_end|>` becomes
    `<tool_call>{"tool": "read_file", "params": {"path": "a.txt"}}</tool_call>`.

    Args:
        text: What an assistant says.
        note: Told of every change: offset in `text`, the old tags, the new ones.
    """
    last_tool = ""

    def rewritten(match: re.Match[str]) -> str:
        nonlocal last_tool
        if match["tool"]:
            last_tool = match["tool"]
            call = {"tool": last_tool, "params": _arguments(last_tool, match["arguments"])}
            new = f"<tool_call>{_compact(call)}</tool_call>"
        else:
            answer: dict[str, object] = {"tool": last_tool} if last_tool else {}
            answer |= {"success": True, "result": match["result"].strip()}
            new = f"<tool_result>{_compact(answer)}</tool_result>"
        if note is not None:
            note(match.start(), match[0], new)
        return new

    return _OLD.sub(rewritten, text)


def split_results(turn: Turn) -> list[Turn]:
    """An assistant turn cut at its tool results: each result is a turn of the tool, what follows goes on speaking."""
    text = turn.text
    if "</tool_result>" not in text:
        return [turn]
    turns: list[Turn] = []
    position, line = 0, turn.first_line

    def add(role: Role, start: int, end: int) -> None:
        nonlocal line
        piece = text[start:end]
        leading = len(piece) - len(piece.lstrip("\n"))
        first = line + piece.count("\n", 0, leading) if turn.first_line else 0
        line += piece.count("\n") if turn.first_line else 0
        if piece.strip():
            last = first + piece.strip("\n").count("\n") if turn.first_line else 0
            turns.append(Turn(role=role, text=_trimmed(piece), first_line=first, last_line=last))

    for start, end in _results(text):
        add("assistant", position, start)
        add("tool", start, end)
        position = end
    add("assistant", position, len(text))
    return turns


def _results(text: str) -> Iterator[tuple[int, int]]:
    """Where tools answer: complete results at the start of a line or right after a call."""
    start = text.find(_RESULT)
    while start >= 0:
        before = text[max(start - 64, 0) : start].rstrip(" \t")
        if before == "" or before.endswith(("\n", _CALL_END, _RESULT_END)):
            end = text.find(_RESULT_END, start)
            if end < 0:
                return
            yield start, end + len(_RESULT_END)
            start = end
        start = text.find(_RESULT, start + 1)


def _trimmed(piece: str) -> str:
    """Without blank lines around and blanks at the end, but with the indentation of the first line."""
    return piece.strip("\n").rstrip() if piece[:1] == "\n" else piece.strip()


def _arguments(tool: str, source: str) -> dict[str, object]:
    named: dict[str, object] = {}
    position, count = 0, 0
    while position < len(source):
        match = _ARGUMENT.match(source, position)
        if not match or match.end() == position:
            named[f"argument{count + 1}"] = source[position:].strip()
            break
        name = match[1] or (FIRST_PARAMETER.get(tool, "input") if count == 0 else f"argument{count + 1}")
        named[name] = _value(match[2])
        position, count = match.end(), count + 1
    return named


def _value(source: str) -> object:
    if source[:1] == "'":
        source = '"' + source[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    constants = {"True": True, "False": False, "None": None}
    if source in constants:
        return constants[source]
    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        return source.strip("\"'")
    return value if isinstance(value, (str, int, float, bool)) else source


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
