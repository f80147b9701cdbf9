"""The benchmark of the starter corpora counts and judges as it says, and data/README.md shows what it prints."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import corpora  # noqa: E402

TOOLS: corpora.Tools = {
    "set_timer": {
        "minutes": {"type": "number", "required": True},
        "label": {"type": "string", "required": False},
    },
    "take_screenshot": {},
}


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert corpora.words("Don't  stop: it's 7,5 o'clock!") == ["dont", "stop", "its", "7", "5", "oclock"]


def test_distinct_counts_sequences_within_a_text() -> None:
    assert corpora.distinct([["a", "b", "a", "b"]], 2) == pytest.approx(2 / 3)
    assert corpora.distinct([["a", "b"], ["c", "d"]], 2) == 1
    assert corpora.distinct([["a"]], 2) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France?", "What is the capital of New Zealand?"),
        ("Add 12 and 30.", "Add 7 and 1.5."),
        ("Set the timer to 7:30, I am busy.", "Set the timer to 8:45, I am busy."),
        ("What do you call a house made of ice?", "what do you call a house made of ice"),
    ],
)
def test_repetitions_are_found(one: str, other: str) -> None:
    assert corpora.repeated(["How are you?", one, "Sing a song.", other]) == [(other, one)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France?", "Which city is the capital of France?"),
        ("I like tea.", "I like coffee."),
        ("May I go?", "May Tom go?"),
        ("Where is it?", "Where was it?"),
    ],
)
def test_different_questions_are_no_repetitions(one: str, other: str) -> None:
    assert corpora.repeated([one, other]) == []


def test_a_file_is_measured(tmp_path: Path) -> None:
    call = (
        '<tool_call>{"tool": "get_time", "params": {}}</tool_call>\n'
        '<tool_result>{"success": true, "result": "7"}</tool_result>\n'
    )
    path = tmp_path / "small.txt"
    path.write_text(
        "# Two comments\n# above\n\n"
        "Q: What is the sun?\nA: The sun is a star.\nQ: Really?\nA: Yes, it is one.\nQ: Really?\nA: I said so.\n\n"
        f"Q: What is the time?\nA: I will look.\n{call}It is seven.\n\n"
        "# Arithmetic\n\nQ: Add 1 and 2.\nA: It is 3.\n\nQ: Add 3 and 4.\nA: It is 7.\n",
        encoding="utf-8",
    )
    found = corpora.file_figures(path)
    assert (found.lines, found.entries, found.questions, found.calls) == (23, 4, 6, 1)
    assert found.near_duplicates == 0
    assert (found.opening, found.opening_share) == ("what is the", 0.5)


def test_an_answer_needs_one_text_of_each_list() -> None:
    accept = [["paris"], ["capital", "city"]]
    assert corpora.answered("It is Paris, the City of light.", accept)
    assert not corpora.answered("It is Paris.", accept)
    assert not corpora.answered("It is a city.", accept)


@pytest.mark.parametrize(
    ("params", "valid"),
    [
        ('{"minutes": 5}', True),
        ('{"minutes": 1.5, "label": "tea"}', True),
        ('{"label": "tea"}', False),
        ('{"minutes": "5"}', False),
        ('{"minutes": true}', False),
        ('{"minutes": 5, "seconds": 1}', False),
        ("[]", False),
        ("{", False),
    ],
)
def test_calls_are_checked_against_the_table(params: str, valid: bool) -> None:
    answer = f'I will.\n<tool_call>{{"tool": "set_timer", "params": {params}}}</tool_call>\nDone.'
    assert corpora.is_valid(corpora.first_call(answer), TOOLS) is valid


@pytest.mark.parametrize(
    "answer",
    [
        "No call at all.",
        '<tool_call>{"tool": "take_screenshot", "params": {}}',
        '<tool_call>{"tool": "take_photo", "params": {}}</tool_call>',
        '<tool_call>{"tool": ["take_screenshot"], "params": {}}</tool_call>',
        '<tool_call>{"tool": "take_screenshot"}</tool_call>',
        '<tool_call>{"tool": "take_screenshot", "params": {}, "why": ""}</tool_call>',
    ],
)
def test_what_is_no_valid_call(answer: str) -> None:
    assert not corpora.is_valid(corpora.first_call(answer), TOOLS)


def test_only_the_first_call_counts() -> None:
    first = '<tool_call>{"tool": "take_screenshot", "params": {}}</tool_call>'
    second = '<tool_call>{"tool": "set_timer", "params": {"minutes": 1}}</tool_call>'
    assert corpora.first_call(f"{first}\n{second}") == ("take_screenshot", {})


def test_the_types_of_the_table_are_known() -> None:
    tools = corpora.read_tools()
    assert {spec["type"] for params in tools.values() for spec in params.values()} <= corpora.TYPES.keys()


def test_the_readme_shows_the_figures_of_the_files() -> None:
    """`python benchmarks/corpora.py --markdown` writes the table anew."""
    table = corpora.file_table(corpora.file_figures(corpora.DATA / name) for name in corpora.FILES)
    assert corpora.markdown(table) in (corpora.DATA / "README.md").read_text("utf-8")


def test_nothing_held_out_comes_close_to_the_data() -> None:
    """No prompt of the benchmark is a question of the data with another name, another number or another word."""
    prompts = tomllib.loads(corpora.PROMPTS.read_text("utf-8"))
    asked = [str(entry["prompt"]) for kind in ("paraphrase", "request") for entry in prompts[kind]]
    documents = [document for name in corpora.FILES for document in corpora.read_documents(corpora.DATA / name, "qa")]
    questions = {turn.text for document in documents for turn in document.turns if turn.role == "user"}
    assert [pair for pair in corpora.repeated([*sorted(questions), *asked]) if pair[0] in asked] == []


def test_every_twentieth_entry_is_held_out() -> None:
    blocks = ["# Heading", *(f"Q: What is {number} about?\nA: It is about {number}." for number in range(2000))]
    kept, held = corpora.parted("\n\n".join(blocks) + "\n")
    found = [part.rstrip("\n").split("\n\n") for part in (kept, held)]
    assert sorted(found[0] + found[1]) == sorted(blocks)
    assert found[0][0] == "# Heading"
    assert 70 <= len(found[1]) <= 130
    assert corpora.parted("\n\n".join(reversed(blocks)))[1].rstrip().split("\n\n") == found[1][::-1]


@pytest.mark.parametrize("name", corpora.FILES)
def test_the_files_hold_the_limits(name: str) -> None:
    found = corpora.file_figures(corpora.DATA / name)
    assert found.lines >= 1000
    assert found.near_duplicates < 0.01
    assert found.opening_share <= 0.03
    assert found.distinct_2 >= 0.45
    assert found.distinct_3 >= 0.75
