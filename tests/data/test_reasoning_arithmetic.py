"""Every equation that the starter corpora write out is recomputed, and the generated section is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
GENERATOR = ROOT / "benchmarks" / "make_arithmetic.py"

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
OPERAND = rf"-?\(*-?{NUMBER}\)*"
EXPRESSION = rf"{OPERAND}(?:\s*[-+*/]\s*{OPERAND})*"
EQUATION = re.compile(
    rf"(?<![\w.,:/%)\]*+=-])(?<![\w)\]?%]\s[-+*/=]\s)"  # not the tail of `x + 3 = 7` or `x = 3 + 4 = 7`
    rf"(?P<sides>{EXPRESSION}(?:\s*=\s*{EXPRESSION})+)"
    r"(?!\s*(?:[-+*/=(%]|[.,:]?\d|(?:remainder|rest|r)\b))"  # nor its head: `2 + 3 = 4 + x`, `7 / 2 = 3 remainder 1`
)
"""A chain of expressions joined by equals signs; sides without an operator are numbers."""

TOKEN = re.compile(rf"\s*({NUMBER}|[-+*/()])")


def value(expression: str) -> Fraction:
    """`expression` computed exactly: parentheses, then * and /, then + and -, each from left to right."""
    tokens = [match[1].replace(",", "") for match in TOKEN.finditer(expression)]
    result = _sum(tokens)
    if tokens:
        raise ValueError(f"{expression!r}: unbalanced parentheses")
    return result


def _sum(tokens: list[str]) -> Fraction:
    result = _term(tokens)
    while tokens and tokens[0] in "+-":
        result += _term(tokens) if tokens.pop(0) == "+" else -_term(tokens)
    return result


def _term(tokens: list[str]) -> Fraction:
    result = _factor(tokens)
    while tokens and tokens[0] in "*/":
        operator, right = tokens.pop(0), _factor(tokens)
        result = result * right if operator == "*" else result / right
    return result


def _factor(tokens: list[str]) -> Fraction:
    token = tokens.pop(0)
    if token == "-":
        return -_factor(tokens)
    if token != "(":
        return Fraction(token)
    result = _sum(tokens)
    if not tokens or tokens.pop(0) != ")":
        raise ValueError("unbalanced parentheses")
    return result


def equations(text: str) -> Iterator[str]:
    """The equations in `text` that have at least one operator."""
    for match in EQUATION.finditer(text):
        if re.search(rf"{NUMBER}\)*\s*[-+*/]", match["sides"]):
            yield match["sides"]


def holds(equation: str) -> bool:
    """Whether all sides of `equation` are the same number."""
    return len({value(side) for side in equation.split("=")}) == 1


def test_every_equation_in_the_corpora_holds() -> None:
    found, wrong = 0, []
    for path in sorted(DATA.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for equation in equations(line):
                found += 1
                if not holds(equation):
                    wrong.append(f"{path.name}:{number}: {equation}")
    assert not wrong
    assert found >= 300


def test_the_generated_section_is_up_to_date() -> None:
    run = subprocess.run([sys.executable, str(GENERATOR), "--check"], check=False)
    assert run.returncode == 0, "run python benchmarks/make_arithmetic.py"


@pytest.mark.parametrize(
    "text",
    [
        "12 + 7 = 19",
        "So 3 * 4 = 12.",
        "2 + 3 + 4 = 9",
        "2 + 3 * 4 = 14 apples",
        "(2 + 3) * 4 = 20",
        "2 * (3 + 4) = 14",
        "0.5 + 1.25 = 1.75.",
        "3 - 5 = -2",
        "-2 + 4 = 2",
        "1,000 + 500 = 1,500",
        "2 * 3 + 4 = 6 + 4 = 10, so there are 10.",
        "7 / 2 = 3.5",
        "Check: 9+6=15",
    ],
)
def test_right_equations_are_found_and_hold(text: str) -> None:
    assert [holds(equation) for equation in equations(text)] == [True]


@pytest.mark.parametrize("text", ["12 + 7 = 18", "2 + 3 * 4 = 20", "0.1 + 0.2 = 0.4", "(2 + 3) * 4 = 14", "5 - 3 = -2"])
def test_wrong_equations_do_not_hold(text: str) -> None:
    assert [holds(equation) for equation in equations(text)] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "x = 3",
        "x + 3 = 7",
        "2 * x + 3 = 7",
        "x = x + 4",
        "? + 25 = 29",
        "34 + 25 = ?",
        "17 / 5 = 3 remainder 2",
        "2 + 3 = 4 + x",
        "return 2 * x",
        "numbers = [1, 2, 3]",
        "x == 3 + 4",
    ],
)
def test_what_is_not_a_plain_equation_is_left_alone(text: str) -> None:
    assert list(equations(text)) == []
