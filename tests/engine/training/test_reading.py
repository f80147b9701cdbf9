"""The tokenizer of a run: it learns nothing from what the model is validated on."""

from __future__ import annotations

from collections.abc import Callable

from engine.text.split import text_hash
from engine.training.reading import documents_of

from .conftest import TinyRun

Make = Callable[..., TinyRun]
LETTERS = "bdfghklmnprstvz"


def word(number: int) -> str:
    """One of its own for each document."""
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] + "aeiou"[place] for place in range(3))


TEXT = "\n\n".join(
    f"Q: Who is {word(number)} here?\nA: {word(number)} and {word(number)} and {word(number)}." for number in range(200)
)


def test_what_is_held_out_gives_no_tokens(tiny_run: Make) -> None:
    tiny = tiny_run("model.vocabulary=4000", "data.validation=0.1", text=TEXT)
    prepared = tiny.settle(tiny.prepare())
    (stage,) = prepared.course.stages
    held_out = set(stage.corpus.hashes[stage.corpus.held_out.mask].tolist())
    pieces: dict[bool, list[int]] = {True: [], False: []}
    for document in documents_of(tiny.project, prepared.job):
        (name,) = document.turns[1].text.split()[:1]
        pieces[text_hash(document) in held_out].append(len(prepared.tokenizer.encode(f" {name}")))
    assert len(pieces[True]) > 8 and len(pieces[False]) > 100
    assert max(pieces[False]) == 1 < min(pieces[True])
