"""Prose, Markdown, instructions, ChatML, JSON and tables: documents, lines, and what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DataError
from engine.text.conversation import Document
from engine.text.formats import FORMATS
from engine.text.problem import Problem
from engine.text.readers import json_lines, table
from engine.text.readers.prose import BLOCK_LIMIT
from engine.text.readers.record import FIELDS
from engine.text.source import LONG_LINE, text_source

TEXT_FORMATS = [name for name in FORMATS if name != "parquet"]


def read(text: str, name: str, columns: dict[str, str] | None = None) -> tuple[list[Document], list[Problem]]:
    problems: list[Problem] = []
    return list(FORMATS[name](text_source(text), problems.append, columns)), problems


def said(text: str, name: str, columns: dict[str, str] | None = None) -> list[list[tuple[str, str]]]:
    documents, problems = read(text, name, columns)
    assert {problem.code for problem in problems} <= {"unused_fields"}
    return [[(turn.role, turn.text) for turn in document.turns] for document in documents]


def texts(text: str, name: str) -> list[str]:
    return [document.turns[0].text for document in read(text, name)[0]]


def codes(text: str, name: str) -> list[tuple[str, int, int]]:
    return [(problem.code, problem.line, problem.lost) for problem in read(text, name)[1]]


def test_prose_blocks() -> None:
    text = "one\ntwo\n\n\n  three\n \nfour"
    documents = read(text, "text")[0]
    assert [document.turns[0].text for document in documents] == ["one\ntwo", "  three", "four"]
    assert [(document.first_line, document.last_line) for document in documents] == [(1, 2), (5, 5), (7, 7)]
    assert all(document.is_prose for document in documents)


def test_prose_chapters_and_whole_files() -> None:
    text = "Preface\n\nChapter 1\n\na\n\nb\n\nCHAPTER II\nc\nchapter 3 in the middle\n"
    assert texts(text, "text-headings") == [
        "Preface",
        "Chapter 1\n\na\n\nb",
        "CHAPTER II\nc\nchapter 3 in the middle",
    ]
    assert texts(text, "text-whole") == [text.rstrip()]
    assert texts("a\n<|endoftext|>\nb\n\nc\n", "text-whole") == ["a", "b\n\nc"]


def test_long_prose_is_cut_at_line_ends_and_spaces() -> None:
    verses = "\n".join(f"verse {n} of many" for n in range(5000))
    pieces = texts(verses, "text")
    assert len(pieces) > 4
    assert max(map(len, pieces)) <= BLOCK_LIMIT
    assert "\n".join(pieces) == verses
    words = " ".join(f"word{n}" for n in range(9000))
    assert " ".join(texts(words, "text")) == words
    assert "".join(texts("x" * 50_000, "text")) == "x" * 50_000


def test_markdown_sections() -> None:
    text = "---\ntitle: x\n---\n# A\n\n## B\n\nb\n\n### C\nc\n```\n# no heading\n```\n## D\nd\n\nE\n===\ne\n"
    assert texts(text, "markdown") == [
        "# A\n\n## B\n\nb\n\n### C\nc\n```\n# no heading\n```",
        "## D\nd",
        "E\n===\ne",
    ]
    assert codes(text, "markdown") == [("comment", 1, 3)]


def test_instructions() -> None:
    text = (
        "Below is an instruction that describes a task, paired with an input.\n\n### Instruction:\nAdd them.\n\n"
        "### Input:\n1 2\n\n### Response:\n3\n\nBelow is an instruction that describes a task.\n\n### Instruction: Go\n"
        "### Response:\nGone\n### Instruction:\nAgain\n### Response:\nOK\n</s>\n"
    )
    documents, problems = read(text, "instruction")
    assert [[(turn.role, turn.text) for turn in document.turns] for document in documents] == [
        [("user", "Add them.\n\n1 2"), ("assistant", "3")],
        [("user", "Go"), ("assistant", "Gone"), ("user", "Again"), ("assistant", "OK")],
    ]
    assert [problem.code for problem in problems] == ["comment"]


def test_chatml() -> None:
    text = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\na\n\nb<|im_end|>\n<|im_start|>assistant\n"
        "c\n<|im_end|>\n<|endoftext|>\n<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\ne<|im_end|>\n\n"
        "<|im_start|>user\nf<|im_end|><|im_start|>assistant\ng"
    )
    documents, problems = read(text, "chatml")
    assert [[(turn.role, turn.text) for turn in document.turns] for document in documents] == [
        [("system", "Be kind."), ("user", "a\n\nb"), ("assistant", "c")],
        [("user", "d"), ("assistant", "e")],
        [("user", "f"), ("assistant", "g")],
    ]
    assert problems == []
    assert codes("<|im_start|>wizard\na<|im_end|>\nstray\n", "chatml") == [
        ("unknown_role", 1, 2),
        ("text_outside", 3, 1),
    ]


PAIR = [("user", "a"), ("assistant", "b")]

RECORDS: dict[str, tuple[object, list[tuple[str, str]]]] = {
    "messages": ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, PAIR),
    "sharegpt": ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, PAIR),
    "bare list": ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], PAIR),
    "prompt": ({"prompt": "a", "completion": "b"}, PAIR),
    "question": ({"question": "a", "answer": "b"}, PAIR),
    "capitals": ({"Question": "a", "Answer": "b"}, PAIR),
    "alpaca": ({"instruction": "a", "input": "c", "output": "b"}, [("user", "a\n\nc"), ("assistant", "b")]),
    "alpaca without input": ({"instruction": "a", "input": "", "output": "b"}, PAIR),
    "input and output": ({"input": "a", "output": "b"}, PAIR),
    "system": ({"system": "s", "prompt": "a", "response": "b"}, [("system", "s"), *PAIR]),
    "history": (
        {"instruction": "a", "output": "b", "history": [["x", "y"]]},
        [("user", "x"), ("assistant", "y"), *PAIR],
    ),
    "message pairs": (
        {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
        PAIR,
    ),
    "text": ({"text": "a\n\nb", "meta": 1}, [("text", "a\n\nb")]),
    "parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": "b"},
            ]
        },
        PAIR,
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "a"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
                },
                {"role": "tool", "content": "42"},
                {"role": "assistant", "content": "b"},
            ]
        },
        [
            ("user", "a"),
            ("assistant", '<tool_call>{"tool": "f", "params": {"x": 1}}</tool_call>'),
            ("tool", "<tool_result>42</tool_result>"),
            ("assistant", "b"),
        ],
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_of_every_shape(name: str) -> None:
    record, expected = RECORDS[name]
    assert said(json.dumps(record) + "\n\n" + json.dumps(record), "jsonl") == [expected, expected]
    assert said(json.dumps([record, record], indent=2), "json") == [expected, expected]
    if isinstance(record, dict):
        assert said(json.dumps({"train": [record, record]}), "json") == [expected, expected]
        assert said(json.dumps(record, indent=1) + json.dumps(record, indent=1), "json") == [expected, expected]


def test_fields_that_are_not_read_are_told_once() -> None:
    rows = [
        {"prompt": "a", "completion": "b", "id": 7, "source": "wiki", "empty": ""},
        {"prompt": "c", "completion": "d", "id": 8, "source": "web"},
        {"text": "e", "prompt": "no answer"},
        {"messages": [{"role": "user", "content": "a", "mood": "glad"}, {"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "user", "content": None, "value": "a"}, {"from": "gpt", "value": "b", "text": "c"}]},
        {
            "prompt": [{"role": "user", "content": "a", "tool_calls": "f()"}],
            "completion": [{"role": "assistant", "content": "b"}],
        },
    ]
    documents, problems = read("\n".join(map(json.dumps, rows)), "jsonl")
    assert [[turn.text for turn in document.turns] for document in documents[3:]] == [["a", "b"]] * 3
    assert [(problem.code, problem.line, problem.text, problem.lost) for problem in problems] == [
        ("unused_fields", 1, "source", 0),
        ("unused_fields", 3, "prompt", 0),
        ("unused_fields", 4, "messages.mood", 0),
        ("unused_fields", 5, "messages.text", 0),
        ("unused_fields", 6, "messages.tool_calls", 0),
    ]
    documents, problems = read("prompt,completion,topic\na,b,trees\nc,d,\n", "csv")
    assert [(problem.code, problem.line, problem.text) for problem in problems] == [("unused_fields", 2, "topic")]


def test_text_beside_the_text_that_is_read_is_told() -> None:
    said = {"role": "user", "content": "a"}
    rows = [
        {"messages": [said | {"from": "human"}, {"role": "assistant", "content": "b"}]},
        {"messages": [said | {"from": "a mouse"}, {"role": "assistant", "content": "b"}]},
        {"messages": [said, {"role": "assistant", "content": [{"type": "text", "text": "b", "note": "c"}]}]},
        {"text": {"text": "a", "summary": "b"}},
        {"text": [{"type": "text", "text": "a"}]},
    ]
    documents, problems = read("\n".join(map(json.dumps, rows)), "jsonl")
    assert len(documents) == 5
    assert [(problem.code, problem.line, problem.text) for problem in problems] == [
        ("unused_fields", 2, "messages.from"),
        ("unused_fields", 3, "messages.content.note"),
        ("unused_fields", 4, "text.summary"),
    ]


def test_a_line_of_equals_signs_below_blank_lines_is_no_heading() -> None:
    documents, _ = read("One.\n\n\n\n===\nTwo.\n\nThree\n===\nFour.\n", "markdown")
    assert [(one.first_line, one.last_line) for one in documents] == [(1, 6), (8, 10)]


@pytest.mark.parametrize("history", [3, "x", [["a"]], [{"role": "user"}], {"a": 1}])
def test_a_history_of_another_shape_is_told(history: object) -> None:
    record = {"prompt": "a", "completion": "b", "history": history}
    assert codes(json.dumps(record), "jsonl") == [("json_shape", 1, 1)]


def test_an_object_around_long_lists_is_gone_through() -> None:
    """Too long to be decoded as one value: its lists stream, and what else it holds is told."""
    rows = [{"prompt": f"a{n}", "completion": "b " * 100} for n in range(4000)]
    whole = {
        "about": "x",
        "version": 2,
        "train": rows,
        "tags": ["p", "q"],
        "n": 3,
        "test": rows[:2],
        "info": {"u": [1]},
    }
    assert len(json.dumps(whole)) > 1 << 19
    for indent in (None, 1):
        documents, problems = read(json.dumps(whole, indent=indent), "json")
        assert len(documents) == 4002
        assert [problem.text for problem in problems if problem.code == "unused_fields"] == [
            "about, version",
            "tags",
            "info",
        ]
        assert {problem.code for problem in problems} == {"unused_fields"}
    documents, problems = read(json.dumps(whole)[:-20] + ', "x" [', "json")
    assert problems[-1].code == "bad_json"


def test_column_mapping() -> None:
    columns = {"prompt": "frage", "completion": "antwort"}
    assert said('{"frage": "a", "antwort": "b", "prompt": "no"}', "jsonl", columns) == [PAIR]
    assert said("frage;antwort\na;b\n", "csv", columns) == [PAIR]
    assert said('{"dialog": [["x"]], "c": "text of it"}', "jsonl", {"text": "c", "messages": "none"}) == [
        [("text", "text of it")]
    ]


def test_json_lines_numbers_and_problems() -> None:
    text = (
        '{"text": "a"}\n\n{"text": }\n[1, 2]\n{"other": 1}\n{"text": ""}\n"just text"\n{"text": ["x", {"image": 1}]}\n'
    )
    documents, problems = read(text, "jsonl")
    assert [(document.first_line, document.turns[0].text) for document in documents] == [(1, "a"), (7, "just text")]
    assert [(problem.code, problem.line, problem.lost) for problem in problems] == [
        ("bad_json", 3, 1),
        ("json_shape", 4, 1),
        ("json_shape", 5, 1),
        ("empty_record", 6, 1),
        ("json_shape", 8, 1),
    ]


def test_an_empty_answer_in_a_record_costs_one_line() -> None:
    assert codes('{"prompt": "a", "completion": ""}', "jsonl") == [("empty_answer", 1, 1)]
    assert codes('{"messages": [{"role": "user", "content": "a"}]}', "jsonl") == [("orphan_question", 1, 1)]


def test_lone_surrogates_and_nan_are_read() -> None:
    assert texts('{"text": "a\\ud83d b", "x": NaN}\n', "jsonl") == ["a\ufffd b"]
    assert texts('[{"text": "\\ud83d\\ude00 \\udc00"}]', "json") == ["😀 \ufffd"]


def test_long_records_are_joined_and_longer_ones_told(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * (LONG_LINE // 4)
    text = json.dumps({"text": long}) + '\n{"text": "b"}'
    assert texts(text, "jsonl") == [long, "b"]
    monkeypatch.setattr(json_lines, "ROW_LIMIT", LONG_LINE)
    documents, problems = read(text, "jsonl")
    assert [(document.first_line, document.turns[0].text) for document in documents] == [(2, "b")]
    assert [(problem.code, problem.line, problem.lost) for problem in problems] == [("row_too_long", 1, 1)]


def test_json_files_stream_and_know_their_lines() -> None:
    records = [{"text": f"number {n} " + "x" * 1000} for n in range(5000)]
    documents, problems = read(json.dumps({"meta": 1, "data": records}, indent=1), "json")
    assert {problem.text for problem in problems} <= {"meta"}
    assert len(documents) == 5000
    documents, problems = read(json.dumps({"data": records}, indent=1), "json")
    assert problems == []
    assert [document.turns[0].text for document in documents] == [record["text"] for record in records]
    assert [document.first_line for document in documents[:3]] == [3, 6, 9]


def test_what_follows_a_json_error_is_told() -> None:
    documents, problems = read('[\n{"text": "a"},\n{"text": "b",,},\n{"text": "c"}\n]\n', "json")
    assert len(documents) == 1
    assert [(problem.code, problem.line, problem.lost) for problem in problems] == [("bad_json", 3, 3)]


@pytest.mark.parametrize("name", ["json", "jsonl"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"text": ' + "[" * 5000 + "]" * 5000 + "}"])
def test_deep_json_is_told(name: str, text: str) -> None:
    documents, problems = read(text, name)
    assert documents == []
    assert {problem.code for problem in problems} <= {"bad_json", "json_shape"}
    assert problems


def test_tables() -> None:
    text = 'id,Prompt,Completion\n1,a,"b, with\n\nlines"\n2,c,d\n3,,\n4,e,f,extra\n5,g\n'
    documents, problems = read(text, "csv")
    assert [[turn.text for turn in document.turns] for document in documents] == [["a", "b, with\n\nlines"], ["c", "d"]]
    assert [(document.first_line, document.last_line) for document in documents] == [(2, 4), (5, 5)]
    assert [(problem.code, problem.line) for problem in problems if problem.code != "unused_fields"] == [
        ("json_shape", 6),
        ("bad_row", 7),
        ("json_shape", 8),
    ]
    assert said("prompt\tcompletion\na, x\tb\n", "tsv") == [[("user", "a, x"), ("assistant", "b")]]
    assert said("text|x\nhello|1\n", "csv") == [[("text", "hello")]]


def test_a_table_without_known_columns_says_so() -> None:
    with pytest.raises(DataError, match=r"the header is: x, y\. .*--columns prompt=x"):
        read("x,y\n1,2\n", "csv")


def test_a_quote_that_is_never_closed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FIELD_LIMIT", 1 << 16)
    documents, problems = read('text\n"open\n' + ("line\n" * 50_000), "csv")
    assert [problem.code for problem in problems] == ["bad_row"]
    assert len(documents) + problems[0].lost == 50_001
    assert documents[-1].last_line == 50_002


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    from engine.text.formats import read_documents, sniff

    path = tmp_path / "a.parquet"
    parquet.write_table(
        pyarrow.table({"question": ["a", None], "answer": ["b", "c"], "n": [1, 2], "source": ["x", "y"]}), path
    )
    assert sniff(path).format == "parquet"
    problems: list[Problem] = []
    documents = list(read_documents(path, report=problems.append))
    assert [[turn.text for turn in document.turns] for document in documents] == [["a", "b"]]
    assert [(problem.code, problem.line, problem.text) for problem in problems[:1]] == [("unused_fields", 1, "source")]
    assert [(problem.code, problem.line) for problem in problems[1:]] == [("json_shape", 2)]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read"):
        list(read_documents(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from engine.text.formats import read_documents

    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + bytes(20))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="pip install"):
        list(read_documents(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(sorted(FIELDS)) | st.sampled_from(["role", "from", "value", "x"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6), st.booleans())
def test_any_json_is_read_or_told(records: list[object], pretty: bool) -> None:
    text = "\n".join(json.dumps(record) for record in records)
    documents, problems = read(text, "jsonl")
    assert len(documents) + sum(problem.lost for problem in problems) >= len(records)
    documents, problems = read(json.dumps(records, indent=1 if pretty else None), "json")
    empty = sum(record in ([], {}) for record in records)
    assert len(documents) + sum(problem.lost for problem in problems) >= len(records) - empty


SIGNS = (
    *('{}[]",:\n'),
    *("### Instruction:", "### Response:", "<|im_start|>", "<|im_end|>", "user\n", "assistant\n", "Q: ", "A: ", "# "),
    *("```\n", "===\n", "---\n", "text", ",", "\t", '"', "\\", "<|endoftext|>\n", "\r", "\0"),
)
MIXED = st.lists(st.sampled_from(SIGNS) | st.text(max_size=4), max_size=60).map("".join)


@given(MIXED, st.sampled_from(TEXT_FORMATS))
@settings(max_examples=400)
def test_no_text_breaks_a_reader(text: str, name: str) -> None:
    header = "prompt,completion\n" if name == "csv" else "prompt\tcompletion\n" if name == "tsv" else ""
    documents, _ = read(header + text, name)
    for document in documents:
        assert document.turns
        assert document.format
        assert 1 <= document.first_line <= document.last_line
        for turn in document.turns:
            assert turn.text.strip()
            turn.text.encode("utf-8")
