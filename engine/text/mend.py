"""Small repairs of a text: characters that do not belong into it, and tool JSON with the usual slips."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

from engine.text.findings.characters import BIDI, CONTROLS, INVISIBLE

_REMOVED = re.compile(f"[\0{CONTROLS}{BIDI}{INVISIBLE}]")
_TO_SPACE = str.maketrans({"\u2028": " ", "\u2029": " ", "\x0b": " ", "\x85": " "})
_TAG = re.compile(r"(<tool_(call|result)>)((?:(?!</?tool_).)*?)(</tool_\2>)", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_SMART = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"})
_LONGEST = 20_000


def cleaned(line: str) -> str:
    """`line` without control, reordering and invisible characters; line separators become spaces."""
    return _REMOVED.sub("", line.translate(_TO_SPACE))


def mended_tools(text: str, note: Callable[[int, str, str], None]) -> str:
    """`text` with the JSON between tool tags mended where that is certain.

    Args:
        text: Some lines of a conversation.
        note: Told of every change: lines before it, the old and the new JSON.
    """

    def mend(match: re.Match[str]) -> str:
        better = mended_json(match[3])
        if better is None:
            return match[0]
        note(text.count("\n", 0, match.start()), match[3], better)
        return f"{match[1]}{better}{match[4]}"

    return _TAG.sub(mend, text)


def mended_json(body: str) -> str | None:
    """JSON for a text that is almost JSON; None when it is JSON already, or is not to be mended.

    Trailing commas, Python's quotes and constants, typographic quotes, and one missing closing brace.
    """
    if len(body) > _LONGEST or _parsed(body) is not None:
        return None
    candidate = body.strip()
    for step in (_without_trailing_commas, _closed, _plain_quotes):
        candidate = step(candidate)
        value = _parsed(candidate)
        if value is None:
            value = _python(candidate)
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
    return None


def _without_trailing_commas(text: str) -> str:
    return _TRAILING_COMMA.sub(r"\1", text)


def _closed(text: str) -> str:
    return text + "}" if text.count("{") == text.count("}") + 1 else text


def _plain_quotes(text: str) -> str:
    return text.translate(_SMART)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _python(text: str) -> Any:
    """A Python literal: single quotes, True, False, None."""
    if text.count("{") + text.count("[") > 200:
        return None
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value
