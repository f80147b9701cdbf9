"""The starter corpora keep their promises: format, size, variety, valid tool calls, and nothing held out leaks in.

The parser is written from the format's description and not imported from the engine, so that the two can disagree
and one of them be caught.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from engine.job_file import parse_job

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
PROMPTS = ROOT / "benchmarks" / "corpora_prompts.toml"

CORPORA = (
    "combined_action_training.txt",
    "simple_qa.txt",
    "reasoning.txt",
    "tool_training_examples.txt",
    "tool_training_data.txt",
    "personality_development.txt",
    "self_awareness_training.txt",
)

TEST_PROMPTS = (
    "What is Python?",
    "How do I create a list in Python?",
    "How do I use a for loop?",
    "Explain machine learning",
    "Tell me about machine learning",
    "What are neural networks?",
    "Tell me about yourself",
    "What is your favorite color?",
)

CALL = re.compile(r"<tool_call>(\{.*\})</tool_call>")
RESULT = re.compile(r"<tool_result>(\{.*\})</tool_result>")
JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


class CorpusError(ValueError):
    """A line that breaks the format; the message begins with its number."""


@dataclass
class Turn:
    """One question and its answer."""

    line: int
    """Line of the question, from 1."""
    question: str
    answer: list[str] = field(default_factory=list)
    """Lines of the answer; empty until an `A:` is read."""

    @property
    def words(self) -> str:
        """What the answer says outside of tool lines."""
        return " ".join(line for line in self.answer if not line.startswith(("<tool_call>", "<tool_result>")))


@dataclass
class Conversation:
    """Turns with no blank line between them."""

    section: str
    """The comment heading above it, lower-case, or an empty string."""
    turns: list[Turn] = field(default_factory=list)


def parse(text: str) -> list[Conversation]:
    """Blocks between blank lines; each is either comment lines or one conversation. Raises `CorpusError`."""
    conversations: list[Conversation] = []
    section = ""
    for first, block in _blocks(text):
        if block[0].startswith("#"):
            for offset, line in enumerate(block):
                if not line.startswith("#"):
                    raise CorpusError(f"{first + offset}: text directly below a comment")
            section = " ".join(line.lstrip("# ") for line in block).lower()
            continue
        conversation = Conversation(section)
        for offset, line in enumerate(block):
            _read_line(conversation, first + offset, line)
        if not conversation.turns[-1].answer:
            raise CorpusError(f"{conversation.turns[-1].line}: question without an answer")
        conversations.append(conversation)
    return conversations


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _read_line(conversation: Conversation, number: int, line: str) -> None:
    turns = conversation.turns
    if line.startswith("Q:"):
        if turns and not turns[-1].answer:
            raise CorpusError(f"{turns[-1].line}: question without an answer")
        turns.append(Turn(number, line[2:].strip()))
    elif line.startswith("A:"):
        if not turns or turns[-1].answer:
            raise CorpusError(f"{number}: answer without a question")
        turns[-1].answer.append(line[2:].strip())
    elif not turns:
        raise CorpusError(f"{number}: a block must begin with Q:")
    elif turns[-1].answer:
        turns[-1].answer.append(line)
    else:
        raise CorpusError(f"{number}: a question must be one line")


@cache
def read(name: str) -> str:
    return (DATA / name).read_bytes().decode("utf-8")


@cache
def conversations(name: str) -> tuple[Conversation, ...]:
    return tuple(parse(read(name)))


def turns(name: str) -> list[Turn]:
    return [turn for conversation in conversations(name) for turn in conversation.turns]


def normalise(text: str) -> str:
    """Lower-case words and numbers with single spaces: what two spellings of one question share."""
    return " ".join(re.findall(r"[^\W_]+", text.lower().replace("'", "")))


def opening(words: list[str]) -> tuple[str, ...]:
    return tuple(words[:3])


def shingles(words: list[str], size: int = 5) -> frozenset[tuple[str, ...]]:
    if len(words) < size:
        return frozenset({tuple(words)})
    return frozenset(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def near_duplicates(questions: list[str], threshold: float = 0.8) -> list[tuple[str, str]]:
    """Pairs whose sets of word 5-grams have a Jaccard index above `threshold`."""
    sets = [shingles(normalise(question).split()) for question in questions]
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    pairs: list[tuple[str, str]] = []
    for index, grams in enumerate(sets):
        for other in {other for gram in grams for other in seen[gram]}:
            if len(grams & sets[other]) > threshold * len(grams | sets[other]):
                pairs.append((questions[other], questions[index]))
        for gram in grams:
            seen[gram].append(index)
    return pairs


def arithmetic(name: str, conversation: Conversation) -> bool:
    """The one part that a script may write: number drills in reasoning.txt, under a heading that says so."""
    return name == "reasoning.txt" and "arithmetic" in conversation.section


@pytest.fixture(params=CORPORA)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_block_parses(name: str) -> None:
    assert conversations(name)


def test_at_least_a_thousand_lines(name: str) -> None:
    assert len(read(name).splitlines()) >= 1000


def test_plain_text(name: str) -> None:
    """LF, no tabs, no trailing spaces, no line over 400 characters, no Q or A of a foreign spelling."""
    text = read(name)
    assert text.endswith("\n") and not text.endswith("\n\n")
    faults = [
        f"{number}: {line[:60]!r}"
        for number, line in enumerate(text.split("\n"), start=1)
        if "\r" in line
        or "\t" in line
        or line != line.rstrip()
        or len(line) > 400
        or re.match(r"\s*[qa]\s*:|[QA]\s+:", line)
    ]
    assert not faults


def test_ascii_punctuation(name: str) -> None:
    """Beyond ASCII only letters of other languages and the degree sign: no smart quotes, dashes or symbols."""
    faults = {
        character
        for character in set(read(name))
        if ord(character) > 126 and character != "°" and not unicodedata.category(character).startswith(("L", "M"))
    }
    assert not faults


def test_no_answer_under_five_words(name: str) -> None:
    short = [f"{turn.line}: {turn.words}" for turn in turns(name) if len(turn.words.split()) < 5]
    assert not short


def test_one_question_has_one_answer(name: str) -> None:
    """A first question never has two answers; a later one may, when what was said before it differs."""
    answers: dict[str, str] = {}
    faults = []
    for conversation in conversations(name):
        history = ""
        for turn in conversation.turns:
            history += "\n" + normalise(turn.question)
            answer = "\n".join(turn.answer)
            if answers.setdefault(history, answer) != answer:
                faults.append(f"{turn.line}: {turn.question}")
            history += "\n" + answer
    assert not faults


def test_no_conversation_twice(name: str) -> None:
    texts = Counter(
        "\n".join(normalise(turn.question) + "\n" + "\n".join(turn.answer) for turn in conversation.turns)
        for conversation in conversations(name)
    )
    assert [text for text, count in texts.items() if count > 1] == []


def test_openings_are_spread(name: str) -> None:
    """No first three words begin more than 3 % of the questions."""
    questions = [normalise(turn.question).split() for turn in turns(name)]
    openings = Counter(opening(words) for words in questions if len(words) >= 3)
    limit = 0.03 * len(questions)
    assert {" ".join(words): count for words, count in openings.items() if count > limit} == {}


def test_few_near_duplicates(name: str) -> None:
    """At most 1 % of the questions resemble another one; number drills are left out, and so are short replies."""
    questions = [
        turn.question
        for conversation in conversations(name)
        if not arithmetic(name, conversation)
        for place, turn in enumerate(conversation.turns)
        if place == 0 or len(normalise(turn.question).split()) >= 5
    ]
    pairs = near_duplicates(questions)
    assert len(pairs) <= 0.01 * len(questions), pairs[:20]


def test_questions_are_varied(name: str) -> None:
    """Distinct-2: different word pairs over all word pairs of the questions."""
    pairs = [pair for turn in turns(name) for pair in pairwise(normalise(turn.question).split())]
    assert len(set(pairs)) / len(pairs) >= 0.25


def test_tool_lines_are_valid(name: str) -> None:
    """Known tools, known parameters of the right type, a result under each call, and words at the end."""
    tools = {tool["name"]: tool["params"] for tool in json.loads((DATA / "tools.json").read_text("utf-8"))["tools"]}
    faults = [fault for turn in turns(name) for fault in _tool_faults(turn, tools)]
    assert not faults


def _tool_faults(turn: Turn, tools: dict[str, dict[str, dict[str, object]]]) -> Iterator[str]:
    lines = turn.answer
    if lines[-1].startswith("<tool_"):
        yield f"{turn.line}: the answer ends without words"
    for place, line in enumerate(lines):
        if "tool_call" not in line and "tool_result" not in line:
            continue
        below = lines[place + 1] if place + 1 < len(lines) else ""
        above = lines[place - 1] if place else ""
        if match := CALL.fullmatch(line):
            yield from (f"{turn.line}: {fault}" for fault in _call_faults(match[1], tools))
            if not RESULT.fullmatch(below):
                yield f"{turn.line}: a call without a result below it"
        elif match := RESULT.fullmatch(line):
            result = json.loads(match[1])
            if set(result) != {"success", "result" if result.get("success") is True else "error"}:
                yield f"{turn.line}: malformed result {line}"
            if not CALL.fullmatch(above):
                yield f"{turn.line}: a result without a call above it"
        else:
            yield f"{turn.line}: malformed tool line {line}"


def _call_faults(text: str, tools: dict[str, dict[str, dict[str, object]]]) -> Iterator[str]:
    call = json.loads(text)
    if set(call) != {"tool", "params"} or call["tool"] not in tools:
        yield f"unknown tool or shape: {text}"
        return
    known = tools[call["tool"]]
    for key, value in call["params"].items():
        if key not in known:
            yield f"{call['tool']} has no parameter {key}"
        elif isinstance(value, bool) is not (known[key]["type"] == "boolean") or not isinstance(
            value, JSON_TYPES[str(known[key]["type"])]
        ):
            yield f"{call['tool']}.{key} is not a {known[key]['type']}"
    for key, spec in known.items():
        if spec["required"] and key not in call["params"]:
            yield f"{call['tool']} lacks {key}"


def test_the_default_corpus_is_complete_in_itself() -> None:
    """Large, with dialogues of several turns, most of the tools, and each prompt that a newcomer tries first."""
    name = "combined_action_training.txt"
    talks = conversations(name)
    called: Counter[str] = Counter()
    with_tools = 0
    for conversation in talks:
        lines = [line for turn in conversation.turns for line in turn.answer]
        calls = [json.loads(match[1])["tool"] for line in lines if (match := CALL.fullmatch(line))]
        called.update(calls)
        with_tools += bool(calls)
    assert len(talks) >= 620
    assert sum(len(conversation.turns) > 1 for conversation in talks) >= 150
    assert len(read(name).splitlines()) >= 2200
    assert with_tools >= 120
    assert len(called) >= 20
    assert {normalise(p) for p in TEST_PROMPTS} <= {normalise(c.turns[0].question) for c in talks}


def prompts() -> dict[str, list[dict[str, object]]]:
    return tomllib.loads(PROMPTS.read_text("utf-8"))


def test_nothing_held_out_is_in_the_data() -> None:
    asked = {normalise(turn.question) for name in CORPORA for turn in turns(name)}
    held_out = [str(entry["prompt"]) for kind in ("paraphrase", "request") for entry in prompts()[kind]]
    assert [prompt for prompt in held_out if normalise(prompt) in asked] == []


def test_held_out_prompts_are_well_formed() -> None:
    tools = {tool["name"] for tool in json.loads((DATA / "tools.json").read_text("utf-8"))["tools"]}
    paraphrases, requests = prompts()["paraphrase"], prompts()["request"]
    everything = [normalise(str(entry["prompt"])) for entry in [*paraphrases, *requests]]
    assert len(everything) == len(set(everything))
    assert len(paraphrases) == 100
    assert len(requests) == 60
    for entry in paraphrases:
        assert set(entry) == {"prompt", "accept", "file"}
        assert entry["file"] in CORPORA
        accept = entry["accept"]
        assert isinstance(accept, list) and accept
        assert all(words and all(word == word.lower() for word in words) for words in accept)
    for entry in requests:
        assert set(entry) == {"prompt", "tool"}
        assert entry["tool"] in tools
    assert len({entry["tool"] for entry in requests}) >= 20


def test_what_is_asked_for_is_in_the_data() -> None:
    """Some answer of the named file would be accepted: the paraphrase asks for something that was taught."""
    faults = []
    for entry in prompts()["paraphrase"]:
        answers = [" ".join(turn.answer).lower() for turn in turns(str(entry["file"]))]
        accept = entry["accept"]
        assert isinstance(accept, list)
        if not any(all(any(word in answer for word in words) for words in accept) for answer in answers):
            faults.append(entry["prompt"])
    assert not faults


def test_the_jobs_in_the_readme_are_valid() -> None:
    """Each TOML block is a job that forge-tui accepts, and names files that exist."""
    blocks = re.findall(r"```toml\n(.*?)```", (DATA / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        for file in parse_job(block).all_files:
            assert list(ROOT.glob(file.path)), file.path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q: One?\n\nA: Two and three.\n", "1: question without"),
        ("A: Out of nowhere.\n", "1: answer without"),
        ("Q: One?\nA: Two.\nA: Three.\n", "3: answer without"),
        ("Q: One?\nQ: Two?\nA: Three.\n", "1: question without"),
        ("Q: One?\nA: Two.\n\nand more\n", "4: a block must begin"),
        ("Q: One?\nand a half?\nA: Two.\n", "2: a question must be one line"),
        ("# heading\nQ: One?\nA: Two.\n", "2: text directly below"),
    ],
)
def test_the_parser_sees_broken_files(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse(text)


def test_the_parser_reads_turns_and_sections() -> None:
    text = "# Header\n\nQ: One?\nA: Two\nand three.\nQ: Four?\nA: Five.\n\n# Arithmetic\n\nQ: Six?\nA: Seven.\n"
    first, second = parse(text)
    assert [(t.question, t.answer) for t in first.turns] == [("One?", ["Two", "and three."]), ("Four?", ["Five."])]
    assert (first.section, second.section) == ("header", "arithmetic")


def test_near_duplicates_are_found() -> None:
    alike = "how many apples are there in a box with three rows of four apples each today"
    assert near_duplicates([alike, "Which bird cannot fly?", alike.replace("today", "now")]) != []
    assert near_duplicates(["Where do penguins live?", "Where do polar bears live?"]) == []
