"""Damaged, odd and hostile files from real ones, and what must hold for every one of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.text.conversation import Document
from engine.text.conversion import convert
from engine.text.formats import FORMATS, read_documents, sniff
from engine.text.lint import lint
from engine.text.problem import Problem
from engine.text.readers.record import FIELDS, SPEAKERS
from engine.text.readers.speakers import MARKER
from engine.text.repair import repair
from engine.text.writers import WRITERS

ROOT = Path(__file__).parents[3]
SECONDS_PER_MEGABYTE = 2.0
SECONDS_ANYWAY = 1.0
"""Of the processor, for what does not depend on the size."""

BY_LINES = ("qa", "chat", "router", "instruction", "chatml", "text", "text-headings", "text-whole", "markdown", "jsonl")
"""Formats whose losses are counted in lines."""
NAMES = [name for name in FORMATS if name != "parquet"]
ROUGHLY = re.compile(r"<\|tool_(?:call|result)\|>|\\|<\|im_start\|>")
"""Text with these is rewritten or unescaped: only the lines that documents span are compared."""
MARKUP = re.compile(r"<\|im_(?:start|end)\|>|<\|endoftext\|>|</s>|<\|end\|>|\ufeff")
"""Alone on a line, this is no text."""
BLOCK = re.compile(r"###[ \t]*(?:instruction|input|context|response|output|answer|system)[ \t]*:?[ \t]*", re.IGNORECASE)

CHUNKS = (
    *(b"Q: ", b"A: ", b"\nQ:", b"\nA:", b"\n\n", b"User: ", b"Assistant: ", b"System: ", b"Human:", b"AI:"),
    *(b"# ====\n", b"# note\n", b'"""\n', b"'''\n", b"\\Q: ", b"\\# ", b"INPUT: ", b"TASK: "),
    *(b"<tool_call>", b"</tool_call>", b"<tool_result>", b"</tool_result>", b"<|tool_call|>f(", b")<|tool_end|>"),
    *(b"<|tool_result|>", b"<|tool_result_end|>", b"<|im_start|>", b"<|im_start|>user\n", b"<|im_end|>"),
    *(b"<|endoftext|>\n", b"### Instruction:\n", b"### Response:\n", b"### Input:", b"</s>\n"),
    *(b'{"messages": [', b'{"role": "user", "content": "', b'"}', b"]}", b"[", b"{", b"]", b"}", b'"', b",", b":"),
    *(b"\\u", b"\\ud800", b"null", b"NaN", b"1e999", b'"text": ', b'{"text": "x"}\n', b'"prompt": 3,'),
    *(b"\0", b"\r", b"\r\n", b"\t", b"\x1b[2J", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xae", b"\xc3\x28", b"\x80"),
    *(b"\xf0\x9f", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\x1c", b"\xe3\x80\x80", b"\xef\xbc\x9a"),
    *("Ã©â€™".encode(), b"a@b.de ", b"4539148803436467 ", b"+49 30 901820 ", b"8.8.8.8 ", b"::1:2:", b"DE89 3704"),
    *(b"```\n", b"# ", b"## h\n", b"---\n", b"===\n", b"prompt,completion\n", b"a;b|c\t", b"Chapter 1\n"),
    *(b"x" * 300, b" " * 300, b"\n" * 50, b"(" * 200, b"[" * 2000, b'{"a":' * 500, b"=" * 100, b"word " * 4000),
)
"""Pieces that mean something to some reader."""
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1.5, 10**30, "", " ", "text", "Q: a\nA: b", "\ud800", "\0", "<tool_call>{}</tool_call>"),
    *([], {}, [[]], [["a", "b"]], {"text": "x"}, {"role": "user", "content": "hi"}, [{"from": "gpt", "value": "y"}]),
    *("<tool_result>{}</tool_result>", "<|im_end|>", "[1, 2]", '{"name": "f"}', [1, "a", None], "\u202e", "a" * 3000),
)
KEYS = (*FIELDS, "role", "from", "content", "value", "x")


@cache
def originals() -> dict[str, list[bytes]]:
    """Real text in every format, by the format's name."""
    files = [path.read_bytes() for path in sorted((ROOT / "data").glob("*.txt"))]
    found: dict[str, list[bytes]] = {"qa": [data[:20_000] for data in files]}
    text = b"".join(data[:6000] for data in files).decode("utf-8", "ignore")
    pairs = [block.split("\nA: ", 1) for block in text.split("Q: ") if "\nA: " in block]
    pairs = [(q.strip(), a.strip()) for q, a in pairs][:60]
    records = [{"prompt": q, "completion": a} for q, a in pairs]
    talks = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in pairs]
    shared = [{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]} for q, a in pairs]
    tasks = [{"instruction": q, "input": "", "output": a, "id": n} for n, (q, a) in enumerate(pairs)]
    texts = [{"text": a} for _, a in pairs]
    sets = (records, talks, shared, tasks, texts)
    table = io.StringIO()
    csv.writer(table).writerows([("question", "answer"), *pairs])
    prose = "\n\n".join(a for _, a in pairs)
    old = 'User: Draw it\nAssistant: <|tool_call|>generate_image("a sun")<|tool_end|>\n'
    old += "<|tool_result|>ok<|tool_result_end|>\n"
    speaks = "<|im_start|>{}\n{}<|im_end|>\n"
    strings = {
        "chat": ["".join(f"User: {q}\nAssistant: {a}\n\n" for q, a in pairs), "System: Be kind.\n" + old * 20],
        "router": ["".join(f"INPUT: {q}\nTASK: chat\n\n" for q, _ in pairs)],
        "instruction": ["".join(f"### Instruction:\n{q}\n\n### Input:\nx\n\n### Response:\n{a}\n\n" for q, a in pairs)],
        "chatml": [
            "".join(f"{speaks.format('user', q)}{speaks.format('assistant', a)}<|endoftext|>\n" for q, a in pairs)
        ],
        "text": [prose],
        "text-headings": ["\n\n".join(f"Chapter {n}\n\n{a}" for n, (_, a) in enumerate(pairs))],
        "text-whole": [prose.replace("\n\n", "\n<|endoftext|>\n")],
        "markdown": ["---\ntitle: x\n---\n# Title\n\n" + "\n\n## Section\n\n```\nx\n```\n".join(a for _, a in pairs)],
        "jsonl": ["\n".join(json.dumps(record, ensure_ascii=False) for record in one) for one in sets],
        "json": [
            *(json.dumps(one, indent=indent) for one, indent in zip(sets, (None, 1, None, 2, 1), strict=True)),
            json.dumps({"about": "x", "train": records, "test": talks[:3]}),
        ],
        "csv": [table.getvalue(), table.getvalue().replace(",", ";", 1)],
        "tsv": ["prompt\tcompletion\n" + "\n".join(f"{q}\t{' '.join(a.split())}" for q, a in pairs)],
    }
    found |= {name: [one.encode() for one in several] for name, several in strings.items()}
    assert set(found) == set(NAMES)
    return found


def damaged(number: int, seed: int) -> tuple[bytes, str]:
    """Input `number` of a seed: the bytes of a file, and the format that it was made from."""
    chance = random.Random(f"{seed}-{number}")
    name = NAMES[number % len(NAMES)]
    original = chance.choice(originals()[name])
    way = chance.random()
    if way < 0.15:
        data = b"".join(chance.choice(CHUNKS) for _ in range(chance.randint(1, 60)))
    elif name in ("json", "jsonl") and way < 0.6:
        data = _other_json(original, name, chance)
    else:
        data = _mutated(original, chance)
    return (gzip.compress(data) if chance.random() < 0.02 else data), name


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few pieces cut, doubled, replaced, inserted or turned around."""
    start = 0 if chance.random() < 0.5 else chance.randrange(len(data) + 1)
    data = data[start : start + chance.choice((200, 2000, 2000, 8000))]
    for _ in range(chance.randint(1, 12)):
        place, width = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 10, 200))
        piece = chance.choice(CHUNKS) if chance.random() < 0.7 else chance.randbytes(width)
        action = chance.randrange(6)
        if action == 0:
            data = data[:place] + data[place + width :]
        elif action == 1:
            data = data[:place] + data[place : place + width] * chance.choice((2, 5)) + data[place:]
        elif action == 2:
            data = data[:place] + piece * chance.choice((1, 1, 1, 20)) + data[place:]
        elif action == 3:
            data = data[:place] + piece + data[place + len(piece) :]
        elif action == 4:
            data = data[place:] + data[:place]
        elif place < len(data):
            data = data[:place] + bytes((data[place] ^ 1 << chance.randrange(8),)) + data[place + 1 :]
    return data


def _other_json(data: bytes, name: str, chance: random.Random) -> bytes:
    """Valid JSON of other shapes: values and names exchanged, added and taken away."""
    values = [json.loads(line) for line in data.splitlines()] if name == "jsonl" else json.loads(data)
    values = values[: chance.choice((1, 3, 20))] if isinstance(values, list) else values
    for _ in range(chance.randint(1, 6)):
        _exchange(values, chance)
    lines = values if name == "jsonl" and isinstance(values, list) else [values]
    indent = chance.choice((None, None, 1)) if name == "json" else None
    return "\n".join(json.dumps(value, indent=indent, ensure_ascii=True) for value in lines).encode()


def _exchange(value: Any, chance: random.Random) -> None:
    while isinstance(value, (list, dict)) and value:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        inner = value[key]
        if isinstance(inner, (list, dict)) and inner and chance.random() < 0.8:
            value = inner
            continue
        action = chance.randrange(4)
        if action == 0:
            value[key] = deepcopy(chance.choice(VALUES))
        elif action == 1:
            del value[key]
        elif isinstance(value, dict):
            value[chance.choice(KEYS)] = value.pop(key) if action == 2 else deepcopy(chance.choice(VALUES))
        else:
            value.insert(key, deepcopy(chance.choice(VALUES)))
        return


def text_of(path: Path) -> str:
    """What a reader sees of a file, its line ends made plain."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(path: Path, name: str) -> None:
    """Every document and every problem; each text of the file is in one of them."""
    problems: list[Problem] = []
    documents: list[Document] = []
    for document in read_documents(path, name, report=problems.append):
        assert document.turns
        assert all(turn.text.strip() for turn in document.turns)
        assert 0 < document.first_line <= document.last_line
        for turn in document.turns:
            turn.text.encode("utf-8")
        documents.append(document)
    text = text_of(path)
    if name in BY_LINES:
        _check_lines(text, name, documents, sum(problem.lost for problem in problems))
    else:
        _check_values(_values(text, name), documents, problems)


def _check_lines(text: str, name: str, documents: list[Document], lost: int) -> None:
    """No more lines with text are missing from the documents than the problems say."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if MARKUP.sub("", line).strip()]
    if name == "jsonl" or ROUGHLY.search(text):
        spanned: set[int] = set()
        for document in documents:
            spanned.update(range(document.first_line, document.last_line + 1))
        missing = [line for number, line in lines if number not in spanned]
    else:
        held = "".join("".join(turn.text.split()) for document in documents for turn in document.turns)
        held = held.replace("\ufeff", "")
        missing = [line for _, line in lines if not any(bare in held for bare in _bare(line, name))]
    assert len(missing) <= lost, f"{name}: {len(missing)} lines missing, {lost} told: {missing[:3]!r}"


def _bare(line: str, name: str) -> Iterator[str]:
    """What may stand for a line in a document: the line, and the line without its marker; without white space."""
    marker = BLOCK if name == "instruction" else MARKER
    for plain in (line.replace("\ufeff", ""), MARKUP.sub("", line)):
        yield "".join(plain.split())
        match = marker.match(plain)
        if match is not None:
            yield "".join(plain[match.end() :].split())


def _values(text: str, name: str) -> list[str]:
    """The texts inside JSON or a table, when all of it can be read otherwise; what it is else is for the problems."""
    text = text.removeprefix("\ufeff")
    if name == "json":
        try:
            return list(_strings(json.loads(text)))
        except (ValueError, RecursionError):
            return []
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t" if name == "tsv" else ",") if row]
    return [field for row in rows[1:] for field in row]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def _check_values(values: list[str], documents: list[Document], problems: list[Problem]) -> None:
    """What is in no document is told."""
    if any(problem.code != "comment" for problem in problems):
        return
    held = "".join("".join(turn.text.split()) for document in documents for turn in document.turns)
    for value in values:
        bare = "".join(re.sub("[\ud800-\udfff]", "\ufffd", value).split())
        if bare and "<|tool_" not in value and bare not in held and bare.lower() not in SPEAKERS:
            raise AssertionError(f"missing and not told: {value[:80]!r}")


def _timed(work: Callable[[], object], size: int) -> float:
    """Seconds of the processor; more than the limit is an error."""
    started = time.process_time()
    work()
    seconds = time.process_time() - started
    assert seconds < SECONDS_ANYWAY + SECONDS_PER_MEGABYTE * size / 1e6, f"{seconds:.1f} s for {size:,} bytes"
    return seconds


def _linted(path: Path) -> None:
    report = lint([path], size="nano", sequence_length=64)
    errors = any(finding.severity == "error" for finding in report.findings)
    assert report.usable == (not errors and report.counts.documents > 0)
    json.dumps(report.to_json())
    for finding in report.findings:
        assert len(finding.examples) <= 8
        for example in finding.examples:
            assert "\x1b" not in example.text
            assert len(example.text) <= 100


def _read(path: Path, name: str) -> None:
    try:
        read(path, name)
    except DataError as problem:
        assert str(problem)
        assert problem.file


def try_input(number: int, seed: int, folder: Path) -> float:
    """Everything that is done with a file, done with input `number`; returns the slowest step's seconds a megabyte.

    Raises:
        AssertionError: text was lost without a word, or it took too long; or whatever error a reader let through.
    """
    data, name = damaged(number, seed)
    chance = random.Random(number)
    path = folder / "input.txt"
    path.write_bytes(data)
    size = len(gzip.decompress(data)) if data[:2] == b"\x1f\x8b" else len(data)
    try:
        found = sniff(path).format
    except DataError as problem:
        assert problem.file
        found = name
    names = {name, found, chance.choice(NAMES)} - {"parquet"}
    slowest = max(_timed(lambda one=one: _read(path, one), size) for one in names)  # type: ignore[misc]
    slowest = max(slowest, _timed(lambda: _linted(path), size))
    if chance.random() < 0.1:
        slowest = max(slowest, _timed(lambda: _repaired(path, folder / "fixed"), size))
    if chance.random() < 0.1:
        slowest = max(slowest, _timed(lambda: _converted(path, chance.choice(list(WRITERS))), size))
    return slowest / max(size / 1e6, 0.1)


def _repaired(path: Path, folder: Path) -> None:
    (result,) = repair([path], folder)
    assert result.copy or result.failed


def _converted(path: Path, target: str) -> None:
    """What is converted is what is read again."""
    copy = path.with_name(f"converted.{'jsonl' if target == 'jsonl' else 'txt'}")
    try:
        with copy.open("w", encoding="utf-8", newline="\n") as stream:
            done = convert(path, target, stream.write)
    except DataError:
        return
    if done.documents and not done.refused:
        again = list(read_documents(copy, "text-whole" if target == "text" else target, report=lambda problem: None))
        wanted = list(read_documents(path, report=lambda problem: None))
        assert [_said(document) for document in again] == [_said(document) for document in wanted]


def _said(document: Document) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in document.turns]
