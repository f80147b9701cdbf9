"""The two tool dialects inside assistant text: JSON tags, and the old function-call tags that become JSON tags."""

from __future__ import annotations

import json
import re

from engine.text.conversation import Role, Turn

RESULT = re.compile(r"(?:(?<=\n)|(?<=\A)|(?<=</tool_call>))[ \t]*(<tool_result>.*?</tool_result>)", re.DOTALL)
"""A tool's answer: at the start of a line, or right after a call."""

_OLD_CALL = re.compile(r"<\|tool_call\|>\s*([A-Za-z_][\w.]*)\s*\((.*?)\)\s*<\|tool_end\|>", re.DOTALL)
_OLD_RESULT = re.compile(r"<\|tool_result\|>(.*?)<\|tool_result_end\|>", re.DOTALL)
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


def from_old_dialect(text: str) -> str:
    """`text` with every complete old tag pair written as JSON tags; anything else stays as it is.

    `<|tool_call|>read_file("a.txt")<|tool_end|>` becomes
    `<tool_call>{"tool": "read_file", "params": {"path": "a.txt"}}</tool_call>`.
    """
    last_tool = ""

    def call(match: re.Match[str]) -> str:
        nonlocal last_tool
        last_tool = match[1]
        return f"<tool_call>{_compact({'tool': match[1], 'params': _arguments(match[1], match[2])})}</tool_call>"

    def result(match: re.Match[str]) -> str:
        answer: dict[str, object] = {"tool": last_tool} if last_tool else {}
        answer |= {"success": True, "result": match[1].strip()}
        return f"<tool_result>{_compact(answer)}</tool_result>"

    pieces = []
    position = 0
    for match in re.finditer(f"{_OLD_CALL.pattern}|{_OLD_RESULT.pattern}", text, re.DOTALL):
        pieces.append(text[position : match.start()])
        one = _OLD_CALL.fullmatch(match[0])
        if one:
            pieces.append(call(one))
        else:
            other = _OLD_RESULT.fullmatch(match[0])
            pieces.append(result(other) if other else match[0])
        position = match.end()
    return "".join([*pieces, text[position:]])


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

    for match in RESULT.finditer(text):
        add("assistant", position, match.start(1))
        add("tool", match.start(1), match.end(1))
        position = match.end(1)
    add("assistant", position, len(text))
    return turns


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
