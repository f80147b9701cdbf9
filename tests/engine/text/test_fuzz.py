"""Damaged files through every reader, the linter and the repair: no crash, no hang, no text lost without being told.

FORGE_FUZZ sets how many inputs are tried; the default takes a few seconds. FORGE_FUZZ_SEED chooses others.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import time
from pathlib import Path

import pytest

from engine.errors import DataError
from engine.text.formats import FORMATS, read_documents, sniff
from engine.text.lint import lint
from engine.text.problem import Problem
from engine.text.repair import repair

ROOT = Path(__file__).parents[3]
INPUTS = int(os.environ.get("FORGE_FUZZ", "200"))
SEED = int(os.environ.get("FORGE_FUZZ_SEED", "1"))
SECONDS_PER_MEGABYTE = 2.0
SECONDS_ANYWAY = 3.0
"""Starting costs; and a machine that does something else meanwhile is slower."""

NAMES = [name for name in FORMATS if name != "parquet"]
BY_LINES = ("qa", "chat", "router", "instruction", "chatml", "text", "text-headings", "text-whole", "markdown")
MARKUP = re.compile(r"<\|im_(?:start|end)\|>|<\|endoftext\|>|</s>|<\|end\|>|\ufeff")
"""Alone on a line, this is no text."""
CHUNKS = [
    *(
        b"Q: ",
        b"A: ",
        b"\nQ:",
        b"\nA:",
        b"\n\n",
        b"User: ",
        b"Assistant: ",
        b"System: ",
        b"# ====\n",
        b'"""\n',
        b"\\Q: ",
    ),
    *(b"<tool_call>", b"</tool_call>", b"<tool_result>", b"</tool_result>", b"<|tool_call|>f(", b")<|tool_end|>"),
    *(
        b"<|im_start|>",
        b"<|im_end|>",
        b"<|endoftext|>\n",
        b"### Instruction:\n",
        b"### Response:\n",
        b"INPUT: ",
        b"TASK: ",
    ),
    *(
        b'{"messages": [',
        b'{"role": "user", "content": "',
        b'"}',
        b"]}",
        b"[",
        b"{",
        b'"',
        b",",
        b"\\u",
        b"\\ud800",
        b"null",
    ),
    *(
        b"\0",
        b"\r",
        b"\r\n",
        b"\t",
        b"\x1b[2J",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b"\xc3\x28",
        b"\x80",
        b"\xf0\x9f",
    ),
    *(
        b"\xc3\xa2\xe2\x82\xac\xe2\x84\xa2",
        b"a@b.de ",
        b"4539148803436467 ",
        b"+49 30 901820 ",
        b"8.8.8.8 ",
        b"::1:2:",
        b"```\n",
    ),
    *(
        b"# ",
        b"---\n",
        b"===\n",
        b"x" * 300,
        b" " * 300,
        b"\n" * 50,
        b"(" * 200,
        b"[" * 2000,
        b'{"a":' * 500,
        b"=" * 100,
    ),
]


def seeds() -> list[bytes]:
    """Real files, and the same documents in the other formats."""
    found = [path.read_bytes()[:20_000] for path in sorted((ROOT / "data").glob("*.txt"))]
    text = found[0].decode("utf-8", "ignore")
    pairs = [block.split("\nA: ", 1) for block in text.split("Q: ") if "\nA: " in block][:30]
    records = [{"prompt": q.strip(), "completion": a.strip()} for q, a in pairs]
    messages = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a.strip()}]} for q, a in pairs
    ]
    shapes = [
        "\n".join(json.dumps(record) for record in records),
        "\n".join(json.dumps(record) for record in messages),
        json.dumps(messages, indent=1),
        json.dumps({"data": records}),
        "prompt,completion\n" + "\n".join(f'"{q.strip()}","{a.strip()}"' for q, a in pairs),
        "".join(
            f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n<|endoftext|>\n" for q, a in pairs
        ),
        "".join(f"### Instruction:\n{q}\n\n### Response:\n{a}\n\n" for q, a in pairs),
        "# Title\n\n" + "\n\n## Section\n\n".join(a for _, a in pairs),
        "\n\n".join(a for _, a in pairs),
    ]
    return [*found, *(shape.encode() for shape in shapes), b"", b"Q: a\nA: b\n"]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few pieces cut, doubled, swapped, replaced or inserted."""
    start = chance.randrange(len(data) + 1)
    data = data[start : start + chance.choice((200, 2000, 8000))]
    for _ in range(chance.randint(1, 12)):
        place, width = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 10, 200))
        piece = chance.choice(CHUNKS) if chance.random() < 0.7 else bytes(chance.randrange(256) for _ in range(width))
        action = chance.randrange(5)
        if action == 0:
            data = data[:place] + data[place + width :]
        elif action == 1:
            data = data[:place] + data[place : place + width] * chance.choice((2, 5)) + data[place:]
        elif action == 2:
            data = data[:place] + piece * chance.choice((1, 1, 1, 20)) + data[place:]
        elif action == 3:
            data = data[:place] + piece + data[place + len(piece) :]
        else:
            data = data[place:] + data[:place]
    return gzip.compress(data) if chance.random() < 0.03 else data


def read(path: Path, name: str) -> None:
    """Every document and every problem; each line with text is in one of them."""
    problems: list[Problem] = []
    covered: set[int] = set()
    for document in read_documents(path, name, report=problems.append):
        assert document.turns
        assert all(turn.text.strip() for turn in document.turns)
        covered.update(range(document.first_line, document.last_line + 1))
        for turn in document.turns:
            turn.text.encode("utf-8")
    if name in BY_LINES:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        written = sum(bool(MARKUP.sub("", line).strip()) for line in lines)
        assert len(covered) + sum(problem.lost for problem in problems) >= written


def one_input(data: bytes, path: Path, chance: random.Random) -> None:
    path.write_bytes(data)
    started = time.process_time()
    for name in chance.sample(NAMES, 3):
        try:
            read(path, name)
        except DataError as problem:
            assert str(problem)
    try:
        sniff(path)
    except DataError as problem:
        assert problem.file
    report = lint([path], size="nano", sequence_length=64)
    assert report.usable == (
        not any(finding.severity == "error" for finding in report.findings) and bool(report.preview)
    )
    json.dumps(report.to_json())
    for finding in report.findings:
        for example in finding.examples:
            assert "\x1b" not in example.text
            assert len(example.text) <= 100
    if chance.random() < 0.2:
        (result,) = repair([path], path.parent / "fixed")
        assert result.copy or result.failed
    allowed = SECONDS_ANYWAY + 8 * SECONDS_PER_MEGABYTE * len(data) / 1e6
    assert time.process_time() - started < allowed


def test_damaged_files(tmp_path: Path) -> None:
    originals = seeds()
    for number in range(INPUTS):
        chance = random.Random(f"{SEED}-{number}")
        data = mutated(chance.choice(originals), chance)
        try:
            one_input(data, tmp_path / "input.txt", chance)
        except Exception as problem:
            kept = Path(os.environ.get("FORGE_FUZZ_KEEP", tmp_path)) / f"failed-{SEED}-{number}"
            kept.write_bytes(data)
            raise AssertionError(f"input {number} of seed {SEED}, kept in {kept}") from problem


HUGE: dict[str, tuple[bytes, int]] = {
    "one line": (b"word ", 500_000),
    "one word": (b"x", 500_000),
    "spaces": (b" ", 500_000),
    "newlines": (b"\n", 100_000),
    "brackets": (b"[", 500_000),
    "objects": (b'{"a":', 500_000),
    "quotes": (b'"', 500_000),
    "calls": (b"<tool_call>", 250_000),
    "results": (b"\n<tool_result>", 250_000),
    "old calls": (b"<|tool_call|>f(", 250_000),
    "old calls with brackets": (b"<|tool_call|>f()  ", 250_000),
    "messages": (b"<|im_start|>user<|im_end|>", 250_000),
    "message starts": (b"<|im_start|>user ", 250_000),
    "questions": (b"Q: \n", 100_000),
    "comments": (b"# ====\n", 100_000),
    "backslashes": (b"\\", 250_000),
    "digits": (b"1234 ", 250_000),
    "cards": (b"4539148803436467 ", 250_000),
    "dots": (b"1.1.1.1.", 250_000),
    "colons": (b"::", 250_000),
    "at signs": (b"a@", 250_000),
    "domains": (b"@a.b.c.d.", 250_000),
    "copyright": (b"copyright   ", 250_000),
    "mojibake": ("Ã©â€™".encode(), 250_000),
    "capitals": (b"DE89 ", 250_000),
    "passwords": (b"password: ", 250_000),
    "fences": (b"```\n", 100_000),
    "headings": (b"# a\n", 100_000),
    "commas": (b"prompt,completion,", 250_000),
    "accents": ("\u0301".encode(), 250_000),
    "escapes": (b'{"text": "\\ud800"}\n', 100_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_monotonous_files_are_read_in_time(tmp_path: Path, name: str) -> None:
    piece, size = HUGE[name]
    path = tmp_path / "huge.txt"
    for start in (b"", b"Q: a\nA: ", b'{"text": "'):
        path.write_bytes(start + piece * (size // len(piece)))
        started = time.process_time()
        lint([path])
        repair([path], tmp_path / "fixed")
        assert time.process_time() - started < SECONDS_ANYWAY + 2 * SECONDS_PER_MEGABYTE * size / 1e6
    for reader in ("qa", "chatml", "jsonl", "json", "text", "markdown", "instruction"):
        started = time.process_time()
        try:
            read(path, reader)
        except DataError as problem:
            assert str(problem)
        assert time.process_time() - started < SECONDS_ANYWAY + SECONDS_PER_MEGABYTE * size / 1e6
