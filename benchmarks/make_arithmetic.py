"""Writes the arithmetic section of data/reasoning.txt: small sums with their steps, the same ones on every run.

Usage: python benchmarks/make_arithmetic.py [--check] [FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random

HEADING = "# Arithmetic, step by step (written by benchmarks/make_arithmetic.py)"
ENTRIES = 150
SEED = 1337

Problem = tuple[tuple[int | str, ...], str]
"""The numbers that the question names, and the answer with its lines separated by "|"."""


def addition(rng: Random) -> Problem:
    a, tens, ones = rng.randint(12, 69), rng.choice((10, 20)), rng.randint(1, 9)
    b = tens + ones
    start = rng.choice((f"Tens first, then the ones of {b}.", f"{b} is {tens} and {ones}, so I add in two steps."))
    return (a, b), f"{start}|{a} + {tens} = {a + tens}|{a + tens} + {ones} = {a + b}|The sum is {a + b}."


def subtraction(rng: Random) -> Problem:
    tens, ones, rest = rng.choice((20, 30, 40)), rng.randint(1, 9), rng.randint(3, 50)
    b, a = tens + ones, tens + ones + rest
    start = rng.choice((f"I go down by {tens}, then by {ones} more.", f"First the tens of {b} go away, then the ones."))
    return (a, b), f"{start}|{a} - {tens} = {a - tens}|{a - tens} - {ones} = {rest}|The difference is {rest}."


def product(rng: Random) -> Problem:
    a, tens, ones = rng.randint(3, 9), rng.choice((10, 20)), rng.randint(1, 9)
    b, big, small = tens + ones, a * tens, a * ones
    start = rng.choice((f"Split {b} into {tens} and {ones}.", f"I multiply {tens} and {ones} one after the other."))
    steps = f"{a} * {tens} = {big}|{a} * {ones} = {small}|{big} + {small} = {a * b}"
    return (a, b), f"{start}|{steps}|The product is {a * b}."


def quotient(rng: Random) -> Problem:
    a, b = rng.randint(3, 12), rng.randint(3, 9)
    start = rng.choice((f"How many times does {b} fit? I look for it.", f"In the table of {b} I search for {a * b}."))
    return (a * b, b), f"{start}|{a} * {b} = {a * b}|{a * b} / {b} = {a}|The answer is {a}."


def remainder(rng: Random) -> Problem:
    a, b = rng.randint(2, 9), rng.randint(3, 9)
    rest = rng.randint(1, b - 1)
    n = a * b + rest
    start = rng.choice(
        (f"The last multiple of {b} up to {n} is {a * b}.", f"{b} fits {a} times, and {a + 1} times is too much.")
    )
    return (n, b), f"{start}|{a} * {b} = {a * b}|{n} - {a * b} = {rest}|It is {a}, with {rest} left over."


def mixed(rng: Random) -> Problem:
    a, b = rng.randint(8, 40), rng.randint(5, 30)
    c = rng.randint(3, a + b - 2)
    start = rng.choice(("One step at a time, from left to right.", "Adding comes first here, and then I take away."))
    return (a, b, c), f"{start}|{a} + {b} = {a + b}|{a + b} - {c} = {a + b - c}|The end result is {a + b - c}."


def unknown(rng: Random) -> Problem:
    x, b = rng.randint(4, 40), rng.randint(3, 30)
    start = rng.choice((f"Going backward, I take {b} away again.", f"What is missing is {x + b} without {b}."))
    return (b, x + b), f"{start}|{x + b} - {b} = {x}|The number is {x}.|As a check, {x} + {b} = {x + b}."


def percent(rng: Random) -> Problem:
    p, n = rng.choice((20, 30, 40, 60, 70, 80, 90)), rng.randint(2, 30) * 10
    start = rng.choice((f"Ten percent of {n} is one tenth of it.", f"One tenth of {n} comes first."))
    return (p, n), f"{start}|{n} / 10 = {n // 10}|{p // 10} * {n // 10} = {p * n // 100}|So it is {p * n // 100}."


def order(rng: Random) -> Problem:
    a, b, c = rng.randint(2, 30), rng.randint(2, 9), rng.randint(3, 9)
    start = rng.choice(("Multiplying comes before adding.", f"The part {b} times {c} goes first."))
    return (a, b, c), f"{start}|{b} * {c} = {b * c}|{a} + {b * c} = {a + b * c}|The result is {a + b * c}."


def decimal(rng: Random) -> Problem:
    a, b = rng.randint(5, 60), rng.randint(5, 40)
    x, y, total = (f"{n // 10}.{n % 10}" for n in (a, b, a + b))
    start = rng.choice((f"In tenths, these are {a} and {b}.", f"I count {a} tenths and {b} tenths."))
    return (x, y), f"{start}|{a} + {b} = {a + b}|{a + b} tenths are {total}.|So {x} and {y} make {total}."


QUESTIONS: dict[Callable[[Random], Problem], str] = {
    addition: "What is {} + {}?|Add {} and {}.|How much are {} and {} together?|Work out {} plus {}.|Sum up {} and {}.",
    subtraction: "{} - {} = ?|Take {1} away from {0}.|What is {} without {}?|Subtract {1} from {0}, please.|"
    "How far is it from {1} up to {0}?",
    product: "Multiply {} by {}.|{} times {} is what?|Can you work out {} * {}?|What do {} groups of {} make?|"
    "Give me the product of {} and {}.",
    quotient: "Divide {} by {}.|How often does {1} go into {0}?|{} / {} gives what?|Calculate {} divided by {}.|"
    "Split {} into {} equal parts. How big is one?",
    remainder: "Share {} among {}. What does each get, and what is left?|Work out {} divided by {} with the rest.|"
    "How often does {1} fit into {0}, and what remains?|Pack {} things in boxes of {}. How many boxes are full?",
    mixed: "Start with {}, add {}, and take away {}.|{} + {} - {} = ?|I had {}, got {}, and lost {}. What remains?|"
    "Begin at {}. Go up {} and then down {}. Where do you end?",
    unknown: "Which number plus {} makes {}?|I add {} to a secret number and get {}. What is it?|? + {} = {}|"
    "Something and {} make {}. What is the something?",
    percent: "How much is {} percent of {}?|{}% of {}, please.|Take {} percent of {}.|"
    "Of {1} people {0} percent say yes. How many is that?",
    order: "Solve {} + {} * {}.|In {} + {} * {}, what do I do first, and what comes out?|Explain {} + {} * {} to me.|"
    "{} plus {} times {}: careful, what is it?",
    decimal: "Add the decimals {} and {}.|{} + {} is how much?|What do {} kilograms and {} kilograms weigh together?|"
    "One walk is {} kilometers and the next {}. How long are both?",
}


def entries() -> Iterator[str]:
    """One question with its answer at a time, without end; no problem comes twice."""
    rng = Random(SEED)
    seen: set[object] = set()
    for solve, phrases in cycle([(solve, cycle(text.split("|"))) for solve, text in QUESTIONS.items()]):
        numbers, answer = solve(rng)
        while (solve, numbers) in seen:
            numbers, answer = solve(rng)
        seen.add((solve, numbers))
        yield f"Q: {next(phrases).format(*numbers)}\nA: {answer.replace('|', chr(10))}"


def with_section(text: str) -> str:
    """`text` with everything from HEADING to its end replaced by the section."""
    before = text.partition(HEADING)[0].rstrip("\n")
    return "\n\n".join([*filter(None, [before]), HEADING, *islice(entries(), ENTRIES)]) + "\n"


def main() -> int:
    """Rewrites the section; with --check only compares, and returns 1 when the file is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path(__file__).parents[1] / "data" / "reasoning.txt")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the section would change")
    options = parser.parse_args()
    old = options.file.read_text(encoding="utf-8") if options.file.exists() else ""
    new = with_section(old)
    if not options.check:
        options.file.write_text(new, encoding="utf-8")
    return int(options.check and new != old)


if __name__ == "__main__":
    sys.exit(main())
