"""The memory for duplicates: exact while there is room, bounded when there is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.conversation import Document, Turn
from engine.text.findings.batch import Batch
from engine.text.findings.duplicates import contradicts, gist
from engine.text.findings.finding import Ledger
from engine.text.findings.near_duplicates import NearDuplicates
from engine.text.findings.sketch import SeenTable


@given(st.lists(st.lists(st.integers(0, 400), max_size=80), max_size=8))
def test_nothing_is_missed_while_there_is_room(calls: list[list[int]]) -> None:
    table = SeenTable(8192)
    known: dict[int, tuple[int, int]] = {}
    line = 0
    for file, call in enumerate(calls):
        keys = np.array(call, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        lines = np.arange(line, line + len(call))
        seen, values, old_lines, old_files = table.first_seen(keys, np.array(call, np.uint64), lines, file)
        for index, number in enumerate(call):
            assert bool(seen[index]) == (number in known)
            where = known.setdefault(number, (line + index, file))
            assert (int(old_lines[index]), int(old_files[index])) == where
            assert int(values[index]) == number
        line += len(call)
    assert table.forgotten == 0


def test_a_full_table_forgets_and_says_so() -> None:
    table = SeenTable(64)
    keys = np.arange(1, 5001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    table.first_seen(keys, keys, np.arange(5000), 0)
    assert table.forgotten > 4000
    for key in keys[:50]:
        one = np.array([key])
        table.first_seen(one, one, np.zeros(1, np.int64), 0)
        assert table.first_seen(one, one, np.zeros(1, np.int64), 0)[0].all()


def document(text: str, line: int) -> Document:
    return Document((Turn("text", text, line, line),), "a", line, line, "text")


def nearly(count: int, changed: int) -> list[Document]:
    """`count` texts of 60 words, and each once more with `changed` other words."""
    documents = []
    for number in range(count):
        words = [f"w{number * 31 + place * (number + 7) % 977}" for place in range(60)]
        documents.append(document(" ".join(words), 2 * number + 1))
        for place in range(changed):
            words[place * 11 % 60] = f"other{number}{place}"
        documents.append(document(" ".join(words), 2 * number + 2))
    return documents


@pytest.mark.parametrize(("changed", "low", "high"), [(1, 195, 200), (2, 190, 200), (12, 0, 30), (40, 0, 2)])
@pytest.mark.parametrize("size", [1, 7, 400])
def test_near_duplicates_by_how_much_they_share(changed: int, low: int, high: int, size: int) -> None:
    check, ledger = NearDuplicates(["a"], 4096), Ledger()
    documents = nearly(200, changed)
    for start in range(0, len(documents), size):
        check.batch(Batch(documents[start : start + size]), ledger)
    assert low <= ledger.count("near_duplicate") <= high


def test_near_duplicates_beyond_the_memory_are_forgotten_not_confused() -> None:
    check, ledger = NearDuplicates(["a"], 64), Ledger()
    documents = nearly(2000, 1)
    check.batch(Batch(documents[::2]), ledger)
    assert ledger.count("near_duplicate") == 0
    check.batch(Batch(documents), ledger)
    assert ledger.count("near_duplicate") >= 1900


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("yes, it is.", "no, it is not.", True),
        ("it has 8 legs.", "it has 6 legs.", True),
        ("it has 8 legs.", "there are 8 of them.", False),
        ("it is red.", "it is a colour.", False),
        ("use x = [1, 2]", "use x = [3, 4]", False),
        ("yes, 5.", "yes, it is five.", False),
        ("north of it.", "yes.", False),
    ],
)
def test_contradictions(first: str, second: str, expected: bool) -> None:
    assert contradicts(gist(first.encode()), gist(second.encode())) is expected
