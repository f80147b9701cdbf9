"""Every tool call and every tool result of the starter data is one that the tools of data/tools.json allow.

The dialect, inside an answer: a line `<tool_call>{"tool": ..., "params": {...}}</tool_call>`, and directly below it a
line `<tool_result>{"success": true, "result": "..."}</tool_result>`, or `{"success": false, "error": "..."}` else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[2] / "data"
FILES = sorted(path.name for path in DATA.glob("*.txt"))
EXAMPLES = "tool_training_examples.txt"
HARDER = "tool_training_data.txt"

ANY_TAG = re.compile(r"</?\s*tool_(?:call|result)\s*>", re.IGNORECASE)
TOOL_LINE = re.compile(r"<tool_(call|result)>(.*)</tool_\1>")
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}

Schema = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class ToolLine:
    """One tagged line."""

    number: int
    """Line in the file, from 1."""
    kind: str
    """`call` or `result`."""
    value: Any
    """What the JSON between the tags says; None where it could not be read."""


@cache
def schema() -> Schema:
    """Tool name -> parameter name -> its description, from data/tools.json."""
    tools = json.loads((DATA / "tools.json").read_text("utf-8"))["tools"]
    return {tool["name"]: tool["params"] for tool in tools}


@cache
def read(name: str) -> str:
    return (DATA / name).read_bytes().decode("utf-8")


@cache
def examine(name: str) -> tuple[tuple[ToolLine, ...], tuple[str, ...]]:
    return scan(read(name), schema())


def scan(text: str, tools: Schema) -> tuple[tuple[ToolLine, ...], tuple[str, ...]]:
    """Tagged lines of `text` and all faults found in them; a fault begins with its line number."""
    found: list[ToolLine] = []
    faults: list[str] = []
    in_answer = False
    open_call: int | None = None
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        in_answer = line.startswith("A:") or (in_answer and line != "" and not line.startswith("Q:"))
        tagged = ANY_TAG.search(line) is not None
        problems: list[str] = []
        kind = ""
        if tagged:
            parsed, problems = _read_line(number, line)
            if parsed is not None:
                kind = parsed.kind
                found.append(parsed)
                problems.extend(_content_faults(parsed, tools))
            if not in_answer:
                problems.append("tool tags outside an answer")
        if open_call is not None and kind != "result":
            faults.append(f"{open_call}: a call without a result on the next line")
        if kind == "result" and open_call is None:
            problems.append("a result that follows no call")
        open_call = number if kind == "call" else None
        faults.extend(f"{number}: {problem}" for problem in problems)
    return tuple(found), tuple(faults)


def _read_line(number: int, line: str) -> tuple[ToolLine | None, list[str]]:
    match = TOOL_LINE.fullmatch(line)
    if match is None or ANY_TAG.search(match[2]):
        return None, ["tags are not balanced, or share their line with other text"]
    try:
        value = json.loads(match[2], object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except ValueError as error:
        return ToolLine(number, match[1], None), [f"not JSON: {error}"]
    return ToolLine(number, match[1], value), []


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key occurs twice among {keys}")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _content_faults(line: ToolLine, tools: Schema) -> Iterator[str]:
    if line.value is None:
        return
    yield from _call_faults(line.value, tools) if line.kind == "call" else _result_faults(line.value)


def _call_faults(value: object, tools: Schema) -> Iterator[str]:
    if not isinstance(value, dict) or set(value) != {"tool", "params"} or not isinstance(value["params"], dict):
        yield "a call needs exactly a tool and its params"
        return
    tool, params = value["tool"], value["params"]
    if not isinstance(tool, str) or tool not in tools:
        yield f"unknown tool {tool!r}"
        return
    known = tools[tool]
    yield from (f"{tool} has no parameter {key!r}" for key in params if key not in known)
    yield from (f"{tool} needs {key!r}" for key, spec in known.items() if spec["required"] and key not in params)
    for key in known.keys() & params.keys():
        if not has_type(params[key], known[key]["type"]):
            yield f"{tool}: {key!r} is not a {known[key]['type']}"


def _result_faults(value: object) -> Iterator[str]:
    if not isinstance(value, dict) or not isinstance(value.get("success"), bool):
        yield "a result needs a success that is true or false"
        return
    told = "result" if value["success"] else "error"
    if set(value) != {"success", told}:
        yield f"a result with success {value['success']} holds success and {told}, nothing else"
    elif not isinstance(value[told], str) or not value[told].strip():
        yield f"the {told} must be a text"


def has_type(value: object, name: str) -> bool:
    """Whether a JSON value has the type; true and false are no numbers, although Python counts them as such."""
    return isinstance(value, JSON_TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def calls(name: str) -> list[str]:
    """Names of the tools called in a file, in order."""
    return [line.value["tool"] for line in examine(name)[0] if line.kind == "call"]


def conversations(name: str) -> list[str]:
    return [block for block in read(name).strip().split("\n\n") if block.startswith("Q:")]


def test_tools_json_is_sound() -> None:
    tools = json.loads((DATA / "tools.json").read_text("utf-8"))["tools"]
    assert len(schema()) == len(tools) == 28
    for tool in tools:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", tool["name"])
        assert tool["description"].strip()
        for spec in tool["params"].values():
            assert set(spec) == {"type", "required", "description"}
            assert spec["type"] in JSON_TYPES
            assert isinstance(spec["required"], bool)


def test_the_tool_files_are_there() -> None:
    assert {EXAMPLES, HARDER} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_tool_lines_hold(name: str) -> None:
    """Balanced tags, JSON, known tools, fitting parameters, well-formed results, each directly below its call."""
    _, faults = examine(name)
    assert faults == ()


@pytest.mark.parametrize("name", FILES)
def test_each_call_has_one_result(name: str) -> None:
    kinds = [line.kind for line in examine(name)[0]]
    assert kinds == ["call", "result"] * (len(kinds) // 2)


@pytest.mark.parametrize("name", [EXAMPLES, HARDER])
def test_answers_end_in_words(name: str) -> None:
    """After the last result the assistant says something, in every turn."""
    ends = [
        block.split("\nQ:")[turn].split("\n")[-1]
        for block in conversations(name)
        for turn in range(block.count("\nQ:") + 1)
    ]
    assert [end for end in ends if ANY_TAG.search(end)] == []


def test_examples_cover_every_tool() -> None:
    counts = Counter(calls(EXAMPLES))
    assert counts.total() >= 200
    assert len(counts) >= 20
    assert {tool: counts[tool] for tool in schema() if counts[tool] < 8} == {}
    assert len(read(EXAMPLES).splitlines()) >= 1600
    assert len(conversations(EXAMPLES)) >= 330


def test_examples_fail_sometimes() -> None:
    """About one result in eight is an error, so that a model learns to say so."""
    results = [line.value["success"] for line in examine(EXAMPLES)[0] if line.kind == "result"]
    assert 0.08 <= results.count(False) / len(results) <= 0.16


def test_examples_have_requests_without_a_tool() -> None:
    assert sum(ANY_TAG.search(block) is None for block in conversations(EXAMPLES)) >= 50


def test_harder_conversations_are_harder() -> None:
    blocks = conversations(HARDER)
    assert len(blocks) >= 170
    assert len(read(HARDER).splitlines()) >= 1200
    assert sum(block.count("<tool_call>") > 1 for block in blocks) >= 60
    assert sum("\nQ:" in block for block in blocks) >= 50
    assert sum("<tool_call>" not in block for block in blocks) >= 20
    assert len(set(calls(HARDER))) == len(schema())


def test_delete_file_is_agreed_to() -> None:
    """Nowhere in the tool files is a file deleted in a conversation where the user has not said so."""
    agreed = re.compile(r"\b(?:yes|sure|certain|agreed?|confirm|confirmed|permission|okay)\b", re.IGNORECASE)
    for name in (EXAMPLES, HARDER):
        for block in conversations(name):
            before, call, _ = block.partition('<tool_call>{"tool": "delete_file"')
            said = " ".join(line for line in before.split("\n") if line.startswith("Q:"))
            assert not call or agreed.search(said), block


CALL = '<tool_call>{"tool": "set_timer", "params": {"minutes": 5}}</tool_call>'
RESULT = '<tool_result>{"success": true, "result": "started"}</tool_result>'


def talk(*lines: str) -> str:
    return "\n".join(["Q: Five minutes, please.", "A: I will start it.", *lines, "The timer is running.", ""])


def test_a_sound_pair_passes() -> None:
    found, faults = scan(talk(CALL, RESULT), schema())
    assert faults == ()
    assert [(line.number, line.kind) for line in found] == [(3, "call"), (4, "result")]
    assert scan(talk(CALL, '<tool_result>{"success": false, "error": "busy"}</tool_result>'), schema())[1] == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((CALL,), "3: a call without a result"),
        ((RESULT,), "3: a result that follows no call"),
        ((CALL, "So far, so good.", RESULT), "3: a call without a result"),
        ((CALL, RESULT, RESULT), "5: a result that follows no call"),
        ((CALL.replace("</tool_call>", ""), RESULT), "3: tags are not balanced"),
        ((CALL.replace("</tool_call>", "</tool_result>"), RESULT), "3: tags are not balanced"),
        (("I call " + CALL, RESULT), "3: tags are not balanced"),
        ((CALL + CALL, RESULT), "3: tags are not balanced"),
        ((CALL.upper(), RESULT), "3: tags are not balanced"),
        ((CALL.replace("}}<", "}<"), RESULT), "3: not JSON"),
        ((CALL.replace("5", "NaN"), RESULT), "3: not JSON"),
        ((CALL.replace('"minutes": 5', '"minutes": 5, "minutes": 6'), RESULT), "3: not JSON"),
        ((CALL.replace("set_timer", "set_clock"), RESULT), "3: unknown tool"),
        ((CALL.replace('"params"', '"arguments"'), RESULT), "3: a call needs exactly"),
        ((CALL.replace("minutes", "seconds"), RESULT), "3: set_timer has no parameter 'seconds'"),
        ((CALL.replace('"minutes": 5', ""), RESULT), "3: set_timer needs 'minutes'"),
        ((CALL.replace("5", '"5"'), RESULT), "3: set_timer: 'minutes' is not a number"),
        ((CALL.replace("5", "true"), RESULT), "3: set_timer: 'minutes' is not a number"),
        ((CALL, RESULT.replace("true", '"true"')), "4: a result needs a success"),
        ((CALL, RESULT.replace("true", "false")), "4: a result with success False"),
        ((CALL, RESULT.replace('"started"', "5")), "4: the result must be a text"),
        ((CALL, RESULT.replace("started", " ")), "4: the result must be a text"),
    ],
)
def test_faults_are_found(lines: tuple[str, ...], message: str) -> None:
    _, faults = scan(talk(*lines), schema())
    assert any(fault.startswith(message) for fault in faults), faults


def test_tags_belong_into_answers() -> None:
    text = f"Q: What is this?\n{CALL}\n{RESULT}\nA: It is a question about tags.\n\n{CALL}\n{RESULT}\n"
    faults = scan(text, schema())[1]
    assert [fault for fault in faults if "outside" in fault] == [
        f"{number}: tool tags outside an answer" for number in (2, 3, 6, 7)
    ]


@given(content=st.text(max_size=40), minutes=st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_any_text_survives_the_tags(content: str, minutes: float) -> None:
    """What a writer puts in comes back out, whatever the text holds, as long as it holds no tag."""
    if ANY_TAG.search(content):
        return
    lines = (
        _tagged("call", {"tool": "set_timer", "params": {"minutes": minutes, "label": content}}),
        _tagged("result", {"success": True, "result": "x" + content}),
    )
    found, faults = scan(talk(*lines), schema())
    assert faults == ()
    assert [line.value for line in found] == [
        {"tool": "set_timer", "params": {"minutes": minutes, "label": content}},
        {"success": True, "result": "x" + content},
    ]


def _tagged(kind: str, value: object) -> str:
    return f"<tool_{kind}>{json.dumps(value, ensure_ascii=False)}</tool_{kind}>"
