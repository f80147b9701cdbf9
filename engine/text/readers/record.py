"""A record (a JSON object or a table row) as a document: chat messages, question and answer, or plain text.

Shapes, tried in this order: `messages` (role, content), `conversations` (from, value), prompt/completion under any of
their usual names with an optional input, system text and history, `text`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.text.conversation import Document, Role, Turn
from engine.text.problem import Listener, Problem
from engine.text.readers.pairing import Spoken, conversation

FIELDS: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat"),
    "prompt": ("prompt", "instruction", "question", "query", "user", "human", "q"),
    "input": ("input", "context"),
    "completion": ("completion", "response", "output", "answer", "assistant", "reply", "target", "a"),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "text": ("text", "content", "document", "body"),
}
"""What a record can hold, and the names it is known under, the commonest first."""

KNOWN_COLUMNS = frozenset(name for names in FIELDS.values() for name in names)

CONTENTS = ("content", "value", "text")
"""Names of what a message says; the first that is there is read."""

SPEAKER_FIELDS = ("role", "from", "speaker")

MOST_SHAPES = 256
"""Sets of field names that a reader remembers."""

SPEAKERS: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "assistant",
}
"""Role names of the usual data sets."""

Said = tuple[Role, str]
"""A speaker and what is said."""

Columns = Mapping[str, str]
"""Our field names to the record's own, where they differ."""


class ShapeError(ValueError):
    """A record that is none of the known shapes; the text says what is wrong, for people."""


class RecordReader:
    """Turns the records of one file into documents."""

    def __init__(self, file: str, name: str, report: Listener, columns: Columns | None = None) -> None:
        self._file = file
        self._name = name
        self._report = report
        self._columns = dict(columns or {})
        self._shapes: dict[tuple[str, ...], dict[str, list[str]]] = {}
        self._told: set[tuple[str, ...]] = set()
        self._read: list[str] = []
        """The names of the record whose text was taken."""

    def document(self, record: object, first_line: int, last_line: int) -> Document | None:
        """The document of one record; None, and a report, when it holds nothing to learn.

        Raises:
            ShapeError: the record has none of the known shapes.
        """
        if isinstance(record, str):
            record = {"text": record}
        elif isinstance(record, list):
            record = {"messages": record}
        if not isinstance(record, dict):
            raise ShapeError(f"a record must be an object, not {_kind(record)}")
        self._read = []
        spoken = [Spoken(role, text, first_line, last_line) for role, text in self._turns(record, first_line)]
        if len(self._read) < len(record):
            names = [str(name) for name, value in record.items() if name not in self._read and holds_text(value)]
            self._tell_unused(names, first_line)
        for name in self._read:
            if type(record[name]) is not str:
                self._tell_unused(_unused_parts(name, record[name]), first_line)
        if not any(text.strip() for _, text, _, _ in spoken):
            self._report(Problem("empty_record", first_line, _short(record), last_line - first_line + 1))
            return None
        if spoken[0].role == "text":
            turn = Turn("text", spoken[0].text, first_line, last_line)
            return Document((turn,), self._file, first_line, last_line, self._name)
        return conversation(spoken, file=self._file, family=self._name, report=self._once(first_line), merging=True)

    def _tell_unused(self, names: list[str], line: int) -> None:
        """Say once for each set of names that what they hold is not read."""
        key = tuple(names)
        if key and key not in self._told and len(self._told) < MOST_SHAPES:
            self._told.add(key)
            self._report(Problem("unused_fields", line, ", ".join(names)))

    def _once(self, line: int) -> Listener:
        """All turns of a record share its lines: only the first loss of a record may count them."""
        lost = 0

        def report(problem: Problem) -> None:
            nonlocal lost
            if problem.lost:
                problem = replace(problem, lost=0 if lost else 1)
                lost += 1
            self._report(problem)

        return report

    def _turns(self, record: dict[str, Any], line: int) -> list[Said]:
        messages = self._field(record, "messages")
        if isinstance(messages, str) and messages.lstrip()[:1] == "[":
            messages = _decoded(messages)
        if messages is not None:
            if not isinstance(messages, list):
                raise ShapeError(f"the messages must be a list, not {_kind(messages)}")
            self._tell_unused(_unused_in(messages), line)
            return [*self._system(record), *(_message(message) for message in messages)]
        completion = self._field(record, "completion")
        prompt = self._field(record, "prompt")
        extra = self._field(record, "input")
        if completion is not None and prompt is None and extra is not None:
            prompt, extra = extra, None
        if completion is not None and prompt is not None:
            return self._pair(record, prompt, extra, completion, line)
        self._read = []
        text = self._field(record, "text")
        if text is not None:
            return [("text", _text(text))]
        names = ", ".join(str(name)[:20] for name in list(record)[:8]) or "nothing"
        raise ShapeError(f"none of the known fields is there (it has: {names})")

    def _pair(self, record: dict[str, Any], prompt: Any, extra: object, completion: Any, line: int) -> list[Said]:
        if _is_messages(prompt) and _is_messages(completion):
            self._tell_unused(_unused_in([*prompt, *completion]), line)
            return [*self._system(record), *(_message(message) for message in (*prompt, *completion))]
        question = _text(prompt).strip()
        if extra is not None and _text(extra).strip():
            question = f"{question}\n\n{_text(extra).strip()}".strip()
        turns = self._system(record)
        history = self._field(record, "history")
        if isinstance(history, str):
            history = _decoded(history) if history.strip() else []
        pairs = [] if history is None else history if isinstance(history, list) else [None]
        for pair in pairs:
            if not (isinstance(pair, list) and len(pair) == 2):
                raise ShapeError("the history is not a list of pairs")
            turns.extend((("user", _text(pair[0]).strip()), ("assistant", _text(pair[1]).strip())))
        return [*turns, ("user", question), ("assistant", _text(completion).strip())]

    def _system(self, record: dict[str, Any]) -> list[Said]:
        system = self._field(record, "system")
        text = "" if system is None else _text(system).strip()
        return [("system", text)] if text else []

    def _field(self, record: dict[str, Any], field: str) -> Any:
        shape = tuple(record)
        names = self._shapes.get(shape)
        if names is None:
            names = self._names(record)
            if len(self._shapes) < MOST_SHAPES:
                self._shapes[shape] = names
        for name in names.get(field, ()):
            value = record[name]
            if value is not None:
                self._read.append(name)
                return value
        return None

    def _names(self, record: dict[str, Any]) -> dict[str, list[str]]:
        """For each field the record's own names for it, the likeliest first."""
        # Column names of hand-made tables are often capitalised.
        lower = {name.lower(): name for name in reversed(list(record)) if isinstance(name, str)}
        mapped = set(self._columns.values())
        names: dict[str, list[str]] = {}
        for field, usual in FIELDS.items():
            own = self._columns.get(field)
            if own is not None:
                names[field] = [own] if own in record else []
            else:
                known = [name if name in record else lower.get(name) for name in usual]
                names[field] = [name for name in known if name is not None and name not in mapped]
        return {field: found for field, found in names.items() if found}


def holds_text(value: object) -> bool:
    """Whether something is missed where a value is not read."""
    return isinstance(value, (str, list, dict)) and bool(value)


def _unused_parts(name: str, content: object) -> list[str]:
    """Fields beside the text of a content's parts that hold something and are not read."""
    parts = content if isinstance(content, list) else [content]
    found = {
        f"{name}.{field}"
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str) and not any(map(part.get, SPEAKER_FIELDS))
        for field, value in part.items()
        if field not in ("text", "type") and holds_text(value)
    }
    return sorted(found)


def _unused_in(messages: list[Any]) -> list[str]:
    """Fields of messages that hold something and are not read."""
    found = {
        f"messages.{name}"
        for message in messages
        if isinstance(message, dict) and len(message) > 2
        for name, value in message.items()
        if name not in (_speaker_name(message), _content_name(message)) and holds_text(value)
        if name != "tool_calls" or not isinstance(value, list)
        if name not in SPEAKER_FIELDS or str(value).strip().lower() not in SPEAKERS
    }
    for message in messages:
        if isinstance(message, dict) and (content := _content_name(message)) and type(message[content]) is not str:
            found.update(_unused_parts(f"messages.{content}", message[content]))
    return sorted(found)


def _speaker_name(message: dict[str, Any]) -> str:
    return next((name for name in SPEAKER_FIELDS if name in message), "")


def _content_name(message: dict[str, Any]) -> str:
    return next((name for name in CONTENTS if message.get(name) is not None), "")


def _message(message: object) -> Said:
    if not isinstance(message, dict):
        raise ShapeError(f"a message must be an object, not {_kind(message)}")
    speaker = message.get(_speaker_name(message))
    name = speaker.strip().lower() if isinstance(speaker, str) else ""
    if name not in SPEAKERS:
        raise ShapeError(f"a message has the role {_short(speaker)}; known are user, assistant, system and tool")
    content = _content_name(message)
    text = _text(message[content]).strip() if content else ""
    role = SPEAKERS[name]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        text = "\n".join([text, *(_call(call) for call in calls)]).strip()
    elif name == "function_call":
        text = _call(_decoded(text) if text[:1] == "{" else text)
    elif role == "tool" and text and not text.startswith("<tool_result>"):
        text = f"<tool_result>{text}</tool_result>"
    return role, text


def _is_messages(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def _call(call: object) -> str:
    """A tool call of the OpenAI shape, or of ShareGPT's, in our tags."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name", function.get("tool")), str):
        raise ShapeError("a tool call has no name")
    arguments = function.get("arguments", function.get("params", {}))
    if isinstance(arguments, str):
        arguments = _decoded(arguments)
    name = function.get("name", function.get("tool"))
    return f"<tool_call>{json.dumps({'tool': name, 'params': arguments}, ensure_ascii=False)}</tool_call>"


def _text(value: object) -> str:
    """Content as text: a string, or a list of parts of which the text ones count."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence):
        parts = [part if isinstance(part, str) else part.get("text") for part in value if isinstance(part, (str, dict))]
        if len(parts) == len(value) and all(isinstance(part, str) for part in parts):
            return "\n".join(str(part) for part in parts)
        raise ShapeError("a content has parts that are not text (pictures and sounds cannot be trained on)")
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    raise ShapeError(f"a text field holds {_kind(value)}")


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")


def _short(value: object) -> str:
    if isinstance(value, str):
        return value[:200]
    try:
        return json.dumps(value, ensure_ascii=False)[:200]
    except (ValueError, TypeError, RecursionError):
        return repr(type(value))
