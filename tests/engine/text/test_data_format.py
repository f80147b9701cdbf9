"""docs/data-format.md: its examples read as it says, and its tables are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.text.findings.catalogue import RULES
from engine.text.formats import FORMATS
from engine.text.problem import Problem
from engine.text.readers.record import FIELDS
from engine.text.readers.speakers import ROLES
from engine.text.source import text_source
from engine.text.writers import WRITERS

PAGE = (Path(__file__).parents[3] / "docs" / "data-format.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```([a-z-]+)\n((?:(?!^```).)*)^```\n\n```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "text", "expected"), EXAMPLES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(EXAMPLES)]
)
def test_examples(name: str, text: str, expected: str) -> None:
    problems: list[Problem] = []
    documents = FORMATS[name](text_source(text), problems.append, None)
    found = [[[turn.role, turn.text] for turn in document.turns] for document in documents]
    assert found == json.loads(expected)
    assert {problem.code for problem in problems} <= {"comment", "old_tool_tags", "unused_fields"}


def test_there_is_an_example_of_every_text_format() -> None:
    assert {name for name, _, _ in EXAMPLES} == set(FORMATS) - {"parquet"}


def test_the_tables_are_complete() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (error|warning|hint) \|", PAGE, re.MULTILINE))
    assert rows == {code: rule.severity for code, rule in RULES.items()}
    for code, rule in RULES.items():
        lost = "yes" if rule.loses else ""
        assert f"| `{code}` | {rule.severity} | {rule.message} | {lost} | {rule.fix} |" in PAGE
    for field, names in FIELDS.items():
        assert f"| `{field}` | {' '.join(f'`{name}`' for name in names)} |" in PAGE
    for name in FORMATS:
        assert f"`{name}`" in PAGE
    for word, (family, _) in ROLES.items():
        assert f"`{word}`" in PAGE or f"`{word}:`" in PAGE, family
    for target in WRITERS:
        assert f"| `{target}` |" in PAGE
