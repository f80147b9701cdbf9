"""The quick look at a block's bytes must never miss what the look at its characters finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.text.findings import characters
from engine.text.findings.finding import Ledger
from engine.text.source import Block

ODD = [chr(code) for code in range(0x110000) if any(p.search(chr(code)) for _, p in characters._KINDS)]


def found(text: str) -> set[str]:
    ledger = Ledger()
    ledger.file = "a"
    characters.Characters().block(Block(1, text, text.split("\n"), text.encode("utf-8", "replace")), ledger)
    return {finding.code for finding in ledger.findings()}


def test_every_odd_character_alone_is_found() -> None:
    assert len(ODD) > 200
    for character in ODD:
        for text in (character, f"abc {character}", f"naïve ’{character}… 日本"):
            assert found(text), hex(ord(character))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_the_quick_look_agrees_with_the_slow_one(text: str) -> None:
    expected = {code for code, pattern in characters._KINDS if pattern.search(text)}
    assert found(text) == expected
