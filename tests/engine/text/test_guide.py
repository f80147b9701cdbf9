"""What the training guide says about data, point by point: each DO and each DON'T has a finding that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.text.findings.catalogue import RULES
from engine.text.formats import read_documents
from engine.text.lint import lint
from engine.text.sniff import sniff
from tests.engine.text.test_findings import GOOD, WORDS, pairs, sentence


@dataclass(frozen=True)
class Point:
    """One sentence of the guide."""

    says: str
    text: str
    """Data that does not do as it says."""
    codes: frozenset[str]
    """What the linter says to that, all of it that is of this point."""


def _same_topic(count: int) -> str:
    return "".join(f"Q: {sentence(n)} And python?\nA: With python: {sentence(n + 900)}\n\n" for n in range(count))


def _german(count: int) -> str:
    return "".join(
        f"Q: Was ist das und wie ist es mit der {word} {n}?\nA: Das ist nicht die {word}, ich bin auf der Suche.\n\n"
        for n, word in enumerate((WORDS * count)[:count])
    )


DO = (
    Point(
        "Use clear, grammatically correct text: sentences",
        "".join(f"Q: What about {sentence(n)}\nA: {sentence(n + 500)[4:-1].lower()}\n\n" for n in range(400)),
        frozenset({"sloppy_sentences"}),
    ),
    Point(
        "Use clear, grammatically correct text: characters",
        GOOD + "Q: What is it?\nA: Itâ€™s the cafÃ© over there, I think.\n\n",
        frozenset({"mojibake"}),
    ),
    Point("Use clear text: one language", GOOD + _german(300), frozenset({"language_mix"})),
    Point("Include diverse topics for general models: topics", _same_topic(600), frozenset({"narrow_topic"})),
    Point(
        "Include diverse topics for general models: words and ways to ask",
        "".join(f"Q: How do I do {n}?\nA: Like number {n} of it, I think.\n\n" for n in range(600)),
        frozenset({"low_diversity"}),
    ),
    Point(
        "Focus on specific domains for specialized models: whether the data does is said",
        _same_topic(600),
        frozenset({"narrow_topic"}),
    ),
    Point("Aim for 1000+ lines minimum", pairs(300), frozenset({"few_lines"})),
    Point(
        "Use consistent formatting throughout: markers",
        GOOD + "User: And now a chat, is it?\nAssistant: It is a chat now, yes it is.\n\n",
        frozenset({"mixed_formats"}),
    ),
    Point(
        "Use consistent formatting throughout: line ends",
        GOOD.replace("\n", "\r\n", 90),
        frozenset({"line_ends"}),
    ),
)
DONT = (
    Point(
        "Mix multiple formats in one file: instructions among questions",
        GOOD + "### Instruction:\nName a tree.\n\n### Response:\nAn oak is one of them.\n\n" + pairs(9, start=900),
        frozenset({"mixed_formats"}),
    ),
    Point(
        "Mix multiple formats in one file: records among questions",
        GOOD + '{"prompt": "Name a tree.", "completion": "An oak is one."}\n' * 2,
        frozenset({"mixed_formats"}),
    ),
    Point(
        "Mix multiple formats in one file: conversations in prose",
        "\n\n".join(f"{sentence(n)} {sentence(n + 99)}" for n in range(700)) + "\n\n" + pairs(20, start=5000),
        frozenset({"mixed_formats"}),
    ),
    Point(
        "Include garbled or corrupted text: signs",
        GOOD + f"Q: What is it?\nA: {'#$%&/(=?)@ ' * 12} it is.\n\n",
        frozenset({"garbled"}),
    ),
    Point(
        "Include garbled or corrupted text: replaced and control characters",
        GOOD + "Q: What is it?\nA: It is the caf\ufffd over \x1b[31mthere, I think.\n\n",
        frozenset({"replacement", "control"}),
    ),
    Point(
        "Include garbled or corrupted text: repetition",
        GOOD + f"Q: What is it?\nA: {'it is what it is and ' * 40}\n\n",
        frozenset({"repetitive"}),
    ),
    Point(
        "Use extremely short responses (< 5 words)",
        GOOD + "Q: Is it a good one?\nA: Yes it is.\n\n",
        frozenset({"short_answer"}),
    ),
    Point(
        "Train on copyrighted content without permission",
        GOOD + "Q: Whose is it?\nA: Copyright 2021 by the house. All rights reserved.\n\n",
        frozenset({"copyright"}),
    ),
    Point(
        "Include personally identifiable information (PII)",
        GOOD + "Q: How do I reach you?\nA: Write to jane.roe@mail-house.org, or call +49 30 9018 2043 soon.\n\n",
        frozenset({"email", "phone"}),
    ),
)
POINTS = (*DO, *DONT)


@pytest.mark.parametrize("point", POINTS, ids=[point.says for point in POINTS])
def test_what_the_guide_says_is_found(tmp_path: Path, point: Point) -> None:
    (tmp_path / "a.txt").write_text(point.text, newline="")
    found = {finding.code: finding for finding in lint([tmp_path / "a.txt"]).findings}
    of_points = frozenset().union(*(other.codes for other in POINTS))
    assert found.keys() & of_points >= point.codes
    for code in point.codes:
        assert found[code].severity in ("warning", "hint")
        assert found[code].fix
        assert (found[code].file and found[code].line) or found[code].detail
    assert point.codes <= RULES.keys()


def test_data_that_does_as_the_guide_says_has_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD)
    assert lint([tmp_path / "a.txt"]).findings == ()


FORMATS = {
    "conversation": (
        "Q: What is Python?\n"
        "A: Python is a high-level programming language known for its simplicity and readability.\n\n"
        "Q: How do I create a list in Python?\n"
        "A: You can create a list using square brackets: my_list = [1, 2, 3, 4]\n",
        "qa",
        [2, 2],
    ),
    "dialogue": (
        "User: Tell me about machine learning\n"
        "Assistant: Machine learning enables systems to learn from data...\n\n"
        "User: What are neural networks?\nAssistant: Neural networks are computing systems...\n",
        "chat",
        [2, 2],
    ),
    "plain text": (
        "The ForgeAI is a flexible AI framework. It can be trained on various types of data.\n"
        "Each model size offers different capabilities and resource requirements.\n",
        "text",
        [1],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_formats_that_the_guide_names_are_read(tmp_path: Path, name: str) -> None:
    text, expected, turns = FORMATS[name]
    (tmp_path / "a.txt").write_text(text)
    assert sniff(tmp_path / "a.txt").format == expected
    assert [len(document.turns) for document in read_documents(tmp_path / "a.txt")] == turns
