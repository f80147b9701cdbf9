"""Damaged files through every reader, the linter and the repair: no crash, no hang, no text lost without being told.

FORGE_FUZZ sets how many inputs are tried; the default takes a few seconds. FORGE_FUZZ_SEED chooses others.
`benchmarks/fuzz_text.py` tries as many as one likes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.errors import DataError
from engine.text.lint import lint
from engine.text.repair import repair
from tests.engine.text.damaged import NAMES, SECONDS_PER_MEGABYTE, damaged, read, try_input

INPUTS = int(os.environ.get("FORGE_FUZZ", "150"))
SEED = int(os.environ.get("FORGE_FUZZ_SEED", "1"))
SECONDS_ANYWAY = 3.0
"""Starting costs; and a machine that does something else meanwhile is slower."""


def test_damaged_files(tmp_path: Path) -> None:
    for number in range(INPUTS):
        try:
            try_input(number, SEED, tmp_path)
        except Exception as problem:
            kept = Path(os.environ.get("FORGE_FUZZ_KEEP", tmp_path)) / f"failed-{SEED}-{number}"
            kept.write_bytes(damaged(number, SEED)[0])
            raise AssertionError(f"input {number} of seed {SEED}, kept in {kept}") from problem


def test_the_inputs_are_of_all_kinds() -> None:
    inputs = [damaged(number, SEED) for number in range(400)]
    assert {name for _, name in inputs} == set(NAMES)
    assert any(data[:2] == b"\x1f\x8b" for data, _ in inputs)
    assert damaged(7, 1) == damaged(7, 1) != damaged(7, 2)


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
