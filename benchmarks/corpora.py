"""The starter data in figures: how varied each file is, and what a model learns from all of them.

    python benchmarks/corpora.py                        a table of the files
    python benchmarks/corpora.py --train micro          build the model by the real command, then measure it
    python benchmarks/corpora.py --model models/small   measure a model that is there
    python benchmarks/corpora.py --markdown             what stands below the marker in data/README.md

`--train` makes a project in --folder with all files of data/, without every twentieth entry, which goes into a file
of its own to be scored at the end. The job leaves all but the epochs to the program, and holds out nothing more: what
is published is the end of the run. (Of a run that validates itself, the weights that guess unseen entries best are
published, which can be earlier ones.) `forge-tui --batch` runs it. Stop it when you like (Ctrl-C, SIGTERM): the same
command continues. The figures are kept in the folder, where --markdown finds them. After a change of the data, name
another folder.

What is asked is in corpora_prompts.toml and nowhere in the data: 100 paraphrases of questions that the data answer,
and 60 requests, each with the tool it is for. Answers are greedy: no chance, no repetition penalty. `--answers` prints
all of them.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.text.conversation import Document, Turn
from engine.text.formats import read_documents

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
PROMPTS = Path(__file__).with_name("corpora_prompts.toml")
FILES = (
    "combined_action_training.txt",
    "simple_qa.txt",
    "reasoning.txt",
    "tool_training_examples.txt",
    "tool_training_data.txt",
    "personality_development.txt",
    "self_awareness_training.txt",
)
EPOCHS = {"nano": 12, "micro": 6, "mini": 8}
"""What two old cores do in about 7, 13 and 35 minutes; 20 for the other sizes."""

HELD_OUT = "held_out.txt"
"""Beside the data folder of the project: the entries that are not trained on."""
SAME = 0.8
"""Two questions are near-duplicates when they share more than this of their five-word sequences (Jaccard index)."""

JOB = """\
[model]
name = "{size}"
size = "{size}"

[data]
files = ["data/*.txt"]
validation = 0

[train]
method = "build"
epochs = {epochs}
save_minutes = 3
"""

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
}  # fmt: skip

Tools = dict[str, dict[str, dict[str, Any]]]
"""Tool name, parameter name, and what data/tools.json says of the parameter."""
Call = tuple[str, dict[str, Any]]
"""A tool's name and its parameters."""


# ---- the files


@dataclass(frozen=True, slots=True)
class FileFigures:
    """How large and how varied a file is."""

    name: str
    lines: int
    entries: int
    """Conversations."""
    questions: int
    """Turns of the user."""
    calls: int
    """Tool calls."""
    distinct_2: float
    """Different pairs of neighbouring words, as a share of all pairs, in questions and answers without tool lines."""
    distinct_3: float
    """The same of three words."""
    near_duplicates: float
    """Share of the questions that come close to an earlier one (see SAME), or differ from it only in a number or a
    name. The section of arithmetic is left out, and so are replies of under five words within a conversation."""
    opening: str
    """The most frequent first three words of a question."""
    opening_share: float
    """Their share of the questions that have three words."""


def file_figures(path: Path) -> FileFigures:
    """Measure one file of questions and answers."""
    text = path.read_text(encoding="utf-8")
    documents = list(read_documents(path, "qa"))
    users = [turn for document in documents for turn in document.turns if turn.role == "user"]
    said = [words(without_calls(turn.text)) for document in documents for turn in document.turns if turn.role != "tool"]
    asked = [words(turn.text) for turn in users]
    openings = Counter(" ".join(question[:3]) for question in asked if len(question) >= 3)
    opening, count = openings.most_common(1)[0]
    judged = list(judged_questions(documents, arithmetic_line(text)))
    return FileFigures(
        name=path.name,
        lines=text.count("\n"),
        entries=len(documents),
        questions=len(users),
        calls=text.count("<tool_call>"),
        distinct_2=distinct(said, 2),
        distinct_3=distinct(said, 3),
        near_duplicates=len(repeated(judged)) / len(judged),
        opening=opening,
        opening_share=count / openings.total(),
    )


def words(text: str) -> list[str]:
    """Lower-case words and numbers, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower().replace("'", ""))


def without_calls(text: str) -> str:
    """What an answer says in words."""
    return "\n".join(line for line in text.split("\n") if not line.startswith("<tool_"))


def distinct(texts: Iterable[Sequence[str]], size: int) -> float:
    """Different sequences of `size` words as a share of all; none crosses from one text into the next."""
    grams = [tuple(text[at : at + size]) for text in texts for at in range(len(text) - size + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def arithmetic_line(text: str) -> float:
    """Line of the heading below which a script wrote the entries; infinite where there is none."""
    found = re.search(r"^# Arithmetic", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else float("inf")


def judged_questions(documents: Iterable[Document], before_line: float) -> Iterator[str]:
    """Questions that must differ from each other: not the arithmetic, and no short replies within a conversation."""
    for document in documents:
        users = [turn for turn in document.turns if turn.role == "user"]
        if document.first_line < before_line:
            yield from (turn.text for place, turn in enumerate(users) if place == 0 or len(words(turn.text)) >= 5)


def repeated(questions: Sequence[str]) -> list[tuple[str, str]]:
    """Each question that comes close to an earlier one, and the first such one before it."""
    sets = [shingles(words(question)) for question in questions]
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    shapes: dict[str, int] = {}
    pairs = []
    for index, (question, grams) in enumerate(zip(questions, sets, strict=True)):
        near = [other for gram in grams for other in seen[gram] if similar(grams, sets[other])]
        near += [shapes[shape(question)]] if shape(question) in shapes else []
        if near:
            pairs.append((question, questions[min(near)]))
        shapes.setdefault(shape(question), index)
        for gram in grams:
            seen[gram].append(index)
    return pairs


def shingles(text: Sequence[str], size: int = 5) -> frozenset[tuple[str, ...]]:
    """The sequences of `size` words in a text; the text itself when it is shorter."""
    return frozenset(tuple(text[at : at + size]) for at in range(max(1, len(text) - size + 1)))


def similar(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    """Whether two sets of word sequences overlap by more than SAME."""
    return len(one & other) > SAME * len(one | other)


def shape(question: str) -> str:
    """A question with all numbers, and all names after its first word, made equal."""
    first, _, rest = question.partition(" ")
    rest = re.sub(r"\b(?!I\b|I')[A-Z]\w*(?: [A-Z]\w*)*", "Name", rest)
    return re.sub(r"\d+(?:[.,:]\d+)*", "0", f"{first.lower()} {rest}")


# ---- what a model learned


def answered(answer: str, accept: Sequence[Sequence[str]]) -> bool:
    """The rule for paraphrases: the lower-case answer holds one text of each list."""
    lower = answer.lower()
    return all(any(text in lower for text in texts) for texts in accept)


def first_call(answer: str) -> Call | None:
    """The first tool call of an answer; None when there is none, or it cannot be read."""
    found = re.search(r"<tool_call>(.*?)</tool_call>", answer, re.DOTALL)
    if found is None:
        return None
    try:
        value = json.loads(found[1])
    except ValueError:
        return None
    if not isinstance(value, dict) or set(value) != {"tool", "params"} or not isinstance(value["params"], dict):
        return None
    return value["tool"], value["params"]


def is_valid(call: Call | None, tools: Tools) -> bool:
    """Whether a call names a known tool, with its required parameters, and no other than its own, of their types."""
    if call is None or not isinstance(call[0], str) or call[0] not in tools:
        return False
    known, given = tools[call[0]], call[1]
    required = {name for name, spec in known.items() if spec["required"]}
    return required <= given.keys() <= known.keys() and all(
        has_type(value, known[name]["type"]) for name, value in given.items()
    )


def has_type(value: object, name: str) -> bool:
    """Whether a JSON value has a type of data/tools.json; true and false are no numbers."""
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def read_tools(path: Path = DATA / "tools.json") -> Tools:
    """The table of tools."""
    return {tool["name"]: tool["params"] for tool in json.loads(path.read_text(encoding="utf-8"))["tools"]}


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What a model does with what it was never asked."""

    name: str
    parameters: int
    epochs: int
    """Of its training, 0 when its record does not say."""
    minutes: float
    """Its training took."""
    bits_per_byte: float
    """On the entries held out from its training."""
    paraphrases: float
    """Share answered by the stated rule."""
    valid_calls: float
    """Share of the requests whose first tool call is valid."""
    right_tools: float
    """Share of the requests whose first tool call is valid, and is for the right tool."""


def model_figures(folder: Path, show: Callable[[str], object]) -> ModelFigures:
    """Measure a model; `show` gets each prompt with its answer and a mark."""
    from engine.model.loaded import load_model
    from engine.model.sampling import SamplingSettings

    greedy = SamplingSettings(temperature=0, top_k=0, top_p=1, repetition_penalty=1, max_tokens=160)
    model, tools = load_model(folder), read_tools()
    asked = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))
    known = valid = right = 0
    for entry in asked["paraphrase"]:
        answer = model.answer([Turn("user", entry["prompt"])], greedy).text
        good = answered(answer, entry["accept"])
        known += good
        show(f"{'good' if good else 'BAD '} | {entry['prompt']}\n     | {answer}")
    for entry in asked["request"]:
        answer = model.answer([Turn("user", entry["prompt"])], greedy).text
        call = first_call(answer)
        holds = is_valid(call, tools)
        fits = holds and call is not None and call[0] == entry["tool"]
        valid, right = valid + holds, right + fits
        mark = "good" if fits else "TOOL" if holds else "BAD "
        show(f"{mark} | {entry['prompt']} [{entry['tool']}]\n     | {answer}")
    card = model.info.card
    run = training_run(folder, card.run if card is not None else "")
    return ModelFigures(
        name=folder.name,
        parameters=sum(weight.numel() for weight in model.decoder.parameters()),
        epochs=run[0],
        minutes=run[1],
        bits_per_byte=held_out_bits(folder),
        paraphrases=known / len(asked["paraphrase"]),
        valid_calls=valid / len(asked["request"]),
        right_tools=right / len(asked["request"]),
    )


def training_run(folder: Path, run: str) -> tuple[int, float]:
    """Epochs and minutes of the run that made a model, pauses left out; zeros when it is not known here."""
    from engine.events import Done
    from engine.job_file import load_job
    from engine.runs.journal import read_events

    home = folder / "runs" / run
    if not run or not (home / "job.toml").is_file():
        return 0, 0.0
    done = [event for event in read_events(home) if isinstance(event, Done)]
    return load_job(home / "job.toml").train.epochs, done[-1].seconds / 60 if done else 0.0


def held_out_bits(folder: Path) -> float:
    """Bits per byte on what was held out from a model's training, by `forge-tui eval`; NaN when that is not known."""
    project = folder.parents[1]
    data = ["--data", HELD_OUT] if (project / HELD_OUT).is_file() else []
    command = [sys.executable, "-m", "forge_tui", "eval", folder.name, "--json", *data]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return float(json.loads(done.stdout)["bits_per_byte"]) if done.returncode == 0 else float("nan")


# ---- building a model


def parted(text: str) -> tuple[str, str]:
    """A file's text without every twentieth of its entries, and those; which ones depends on their words alone."""
    kept, held = [], []
    for block in text.rstrip("\n").split("\n\n"):
        number = int.from_bytes(blake2b(block.encode(), digest_size=8).digest(), "little")
        (held if number % 20 == 0 and not block.startswith("#") else kept).append(block)
    return "\n\n".join(kept) + "\n", "\n\n".join(held) + "\n"


def make_project(folder: Path) -> None:
    """Copy the data as they are now: a run goes on with the texts that it began with, whatever is written meanwhile."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    held_out: list[str] = []
    for name in FILES:
        kept, held = parted((DATA / name).read_text(encoding="utf-8"))
        (folder / "data" / name).write_text(kept, encoding="utf-8")
        held_out.append(held)
    (folder / HELD_OUT).write_text("\n".join(held_out), encoding="utf-8")


def train(size: str, epochs: int, folder: Path) -> int:
    """Build a model of a size by the real command, or go on building it; returns the command's exit code."""
    if not (folder / HELD_OUT).exists():
        make_project(folder)
    job = folder / f"{size}.toml"
    job.write_text(JOB.format(size=size, epochs=epochs), encoding="utf-8")
    command = [sys.executable, "-m", "forge_tui", "--batch", str(job)]
    # A session of its own: a signal to the whole group would reach the run twice, and a second one means "at once".
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    return process.wait()


# ---- tables


def file_table(figures: Iterable[FileFigures]) -> list[list[str]]:
    """Rows of text, the head first."""
    head = ["file", "lines", "entries", "questions", "tool calls", "distinct-2", "distinct-3", "near-duplicates",
            "most frequent opening"]  # fmt: skip
    rows = [
        [f"`{one.name}`", f"{one.lines:,}", f"{one.entries:,}", f"{one.questions:,}", f"{one.calls:,}",
         f"{one.distinct_2:.2f}", f"{one.distinct_3:.2f}", f"{one.near_duplicates:.1%}",
         f"{one.opening} ({one.opening_share:.1%})"]
        for one in figures
    ]  # fmt: skip
    return [head, *rows]


def model_table(figures: Iterable[ModelFigures]) -> list[list[str]]:
    """Rows of text, the head first."""
    head = ["model", "parameters", "epochs", "training", "held out", "paraphrases", "valid calls", "right tool"]
    rows = [
        [f"`{one.name}`", f"{one.parameters / 1e6:.1f} M", str(one.epochs or "-"),
         f"{one.minutes:.0f} min" if one.minutes else "-", f"{one.bits_per_byte:.2f} bits/byte",
         f"{one.paraphrases:.0%}", f"{one.valid_calls:.0%}", f"{one.right_tools:.0%}"]
        for one in figures
    ]  # fmt: skip
    return [head, *rows]


def plain(table: list[list[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)


def markdown(table: list[list[str]]) -> str:
    """A table for a README."""
    head, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rows])


def kept_figures(folder: Path) -> list[ModelFigures]:
    """What was measured in the folder, the smallest model first."""
    found = [ModelFigures(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.figures.json")]
    return sorted(found, key=lambda one: one.parameters)


def main() -> int:
    """Measure what was asked for; with --train the exit code is the command's when it did not finish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", metavar="SIZE", help="build a model of this size first, or go on building it")
    parser.add_argument("--epochs", type=int, help="passes over the data (default: see EPOCHS)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "forge-tui-corpora",
                        help="the project of --train (default: %(default)s)")  # fmt: skip
    parser.add_argument("--model", type=Path, metavar="PATH", help="measure this model")
    parser.add_argument("--answers", action="store_true", help="print every prompt with its answer")
    parser.add_argument("--markdown", action="store_true", help="print tables for data/README.md")
    options = parser.parse_args()
    render = markdown if options.markdown else plain
    if options.train:
        code = train(options.train, options.epochs or EPOCHS.get(options.train, 20), options.folder)
        if code:
            return code
    measured = kept_figures(options.folder)
    if options.train or options.model:
        model = (options.model or options.folder / "models" / options.train).resolve()
        began = time.monotonic()
        measured = [model_figures(model, print if options.answers else lambda text: None)]
        print(f"Measured in {time.monotonic() - began:.0f} s.", file=sys.stderr)
        if options.train:
            kept = options.folder / f"{options.train}.figures.json"
            kept.write_text(json.dumps(asdict(measured[0])), encoding="utf-8")
    if options.markdown or not (options.train or options.model):
        print(render(file_table(file_figures(DATA / name) for name in FILES)))
    if measured:
        print("\n" + render(model_table(measured)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
