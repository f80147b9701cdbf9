"""What reaches a terminal is printable, bounded, and still readable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.sanitize import LINE_LIMIT, one_line, sanitize

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None), max_size=300)
REORDERING = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@given(ANY_TEXT, st.integers(min_value=0, max_value=50))
def test_only_harmless_characters_remain(text: str, limit: int) -> None:
    safe = sanitize(text, limit)
    safe.encode("utf-8")
    for character in safe:
        assert character == "\n" or unicodedata.category(character) not in {"Cc", "Zl", "Zp", "Cs"}
        assert unicodedata.bidirectional(character) not in REORDERING
    assert all(len(line) <= limit + 1 for line in safe.split("\n"))
    assert safe.count("\n") == text.count("\n")


@given(ANY_TEXT)
def test_twice_is_once(text: str) -> None:
    assert sanitize(sanitize(text)) == sanitize(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_ordinary_text_is_untouched(text: str) -> None:
    ordinary = "".join(character for character in text if character not in "\u115f\u1160\u3164\uffa0")
    assert sanitize(ordinary) == ordinary


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "␛[31mred␛]0;title␇"),
        ("a\tb", "a   b"),
        ("a\r\nb", "a␍\nb"),
        ("\x7f\x9b2J", "\u2421\ufffd2J"),
        ("pass\u202eword\u2066x\u2069", "pass\ufffdword\ufffdx\ufffd"),
        ("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"),
        ("line\u2028sep\u2029", "line\ufffdsep\ufffd"),
        ("lone\ud800", "lone\ufffd"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("naïve 日本 👩", "naïve 日本 👩"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_long_lines_are_cut_each_on_its_own() -> None:
    text = "x" * (LINE_LIMIT + 5) + "\nshort\n" + "\t" * LINE_LIMIT
    first, second, third = sanitize(text).split("\n")
    assert first == "x" * LINE_LIMIT + "…"
    assert second == "short"
    assert third == " " * LINE_LIMIT + "…"


@given(ANY_TEXT, st.integers(min_value=1, max_value=60))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    safe = one_line(text, limit)
    assert "\n" not in safe
    assert len(safe) <= limit
