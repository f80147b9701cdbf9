"""Convert, then read: the same turns, for every pair of formats that can hold them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.text.conversation import Document, Role, Turn
from engine.text.conversion import convert, converted_name
from engine.text.formats import read_documents
from engine.text.writers import WRITERS, written

SAMPLES = {
    "qa.txt": "Q: a\nA: b\n\nQ: c\nA: d\n\n    code\n\nmore\nQ: e\nA: f\n",
    "chat.txt": "System: kind\nUser: a\nAssistant: b\nUser: c\nAssistant: d: e\n",
    "tools.txt": 'Q: a\nA: b\n<tool_call>{"tool": "x", "params": {}}</tool_call>\n<tool_result>{"success": true}'
    "</tool_result>\ndone\n",
    "old.txt": 'User: a\nAssistant: <|tool_call|>f("x")<|tool_end|>\nok\n',
    "router.txt": "INPUT: a\nTASK: chat\n\nINPUT: b\nTASK: code\n",
    "instruction.txt": "### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:\n3\n",
    "chatml.txt": "<|im_start|>user\na\nQ: b<|im_end|>\n<|im_start|>assistant\nA: c\n# d<|im_end|>\n",
    "rows.jsonl": '{"prompt": "a", "completion": "b"}\n{"conversations": [{"from": "human", "value": "c"}, '
    '{"from": "gpt", "value": "d"}]}\n',
    "rows.json": '[{"instruction": "a", "input": "b", "output": "c"}]',
    "rows.csv": 'question,answer\na,"b\nc"\n',
    "rows.tsv": "prompt\tcompletion\na b\tc, d\n",
    "talks.json": '[{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, '
    '{"role": "assistant", "content": "# b\\n\\nQ: c"}]}]',
    "chapters.txt": "Chapter 1\n\nOnce.\n\nChapter 2\n\nTwice.\n\nChapter 3\n\nQ: Thrice?\n",
    "whole.txt": "one\n\ntwo\n<|endoftext|>\nthree\n",
    "prose.txt": "one\ntwo\n\nthree\n",
    "notes.md": "# A\n\ntext\n\n## B\n\nmore\n",
    "rows2.jsonl": '{"text": "one\\n\\ntwo"}\n{"text": "three"}\n',
}
CONVERSATIONS = ("jsonl", "qa", "chat")
PROSE = ("jsonl", "text")


def turns(path: Path) -> list[list[tuple[str, str]]]:
    return [[(turn.role, turn.text) for turn in document.turns] for document in read_documents(path)]


def converted(path: Path, target: str) -> Path:
    result = path.with_name(f"{target}-{converted_name(path, target)}")
    with result.open("w", encoding="utf-8") as stream:
        done = convert(path, target, stream.write)
    assert done.refused == 0
    return result


@pytest.mark.parametrize("name", SAMPLES)
def test_round_trips(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SAMPLES[name])
    expected = turns(path)
    prose = expected[0][0][0] == "text"
    for first, second in itertools.permutations(PROSE if prose else CONVERSATIONS, 2):
        once = converted(path, first)
        assert turns(once) == expected
        twice = converted(once, second)
        assert turns(twice) == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_what_cannot_be_held_is_counted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SAMPLES[name])
    documents = turns(path)
    prose = documents[0][0][0] == "text"
    for target in WRITERS:
        pieces: list[str] = []
        result = convert(path, target, pieces.append)
        holds = target in (PROSE if prose else CONVERSATIONS)
        assert (result.documents, result.refused) == ((len(documents), 0) if holds else (0, len(documents)))
        assert len(result.refused_lines) == result.refused
        assert len(pieces) == result.documents


def test_lines_that_were_left_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("# c\n\nstray\n\nQ: a\nA: b\n\nQ: lost\n")
    result = convert(path, "jsonl", lambda text: None)
    assert dict(result.left_out) == {"comment": 1, "text_outside": 1, "orphan_question": 1}


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="jsonl, qa, chat, text"):
        convert("none", "xml", print)


@pytest.mark.parametrize(
    ("file", "target", "name"),
    [
        ("x/a.txt", "jsonl", "a.jsonl"),
        ("a.txt.gz", "qa", "a.qa.txt"),
        ("a", "text", "a.text.txt"),
        (".gz", "qa", "data.qa.txt"),
    ],
)
def test_names(file: str, target: str, name: str) -> None:
    assert converted_name(file, target) == name


ROLES = st.sampled_from(["system", "user", "assistant", "tool", "text"])
TEXT = st.text(alphabet="QA: \n#ab<>\\é\u3000\x85\u2028\r\0\ufeff|", max_size=20) | st.sampled_from(
    ["<tool_result>{}</tool_result>", "<|endoftext|>", "Q: a", "a\n\nQ: b", '"""', "a\n# ===", "User: x\nb", "a\\n"]
)


@example([("text", '"""')], "text")
@example([("text", '"""a\n"""\nb')], "text")
@given(st.lists(st.tuples(ROLES, TEXT), min_size=1, max_size=5), st.sampled_from(sorted(WRITERS)))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[Role, str]], target: str
) -> None:
    document = Document(tuple(Turn(role, text) for role, text in said))
    text = written(document, target)
    if text is None:
        return
    path = tmp_path_factory.getbasetemp() / "one"
    path.write_text(text * 2, encoding="utf-8", newline="\n")
    name = "text-whole" if target == "text" else target
    again = [[(turn.role, turn.text) for turn in one.turns] for one in read_documents(path, name)]
    assert again == [[(turn.role, turn.text) for turn in document.turns]] * 2
