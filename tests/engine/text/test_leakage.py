"""No document that is validated on is trained on, whatever file, format, case or spacing its copies have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.job import DataFile
from engine.text.dataset import Corpus, build
from engine.text.findings.near_duplicates import ALIKE
from engine.text.lint import lint
from tests.engine.text.token_samples import tokenizer

TEXTS = [(f"What is thing {n} made of?", f"Thing {n} is made of stuff {n * 7 % 50}.") for n in range(120)]


def write(folder: Path) -> list[DataFile]:
    """The same conversations in three formats, in other cases and with other blanks."""
    (folder / "a.txt").write_text("".join(f"Q: {q}\nA: {a}\n\n" for q, a in TEXTS))
    (folder / "b.jsonl").write_text(
        "".join(json.dumps({"prompt": q.upper(), "completion": a}) + "\n" for q, a in reversed(TEXTS[:80]))
    )
    (folder / "c.csv").write_text(
        "question,answer\n" + "".join(f'"{q}","{a.replace(" ", "  ")}"\n' for q, a in TEXTS[40:])
    )
    return [DataFile(str(folder / name)) for name in ("a.txt", "b.jsonl", "c.csv")]


def said(corpus: Corpus, documents: object) -> list[str]:
    """What the documents say, read from the tokens that a model gets."""
    found = []
    for index in documents:  # type: ignore[attr-defined]
        file = corpus.documents.files[corpus.documents.file[index]]
        start = int(corpus.documents.start[index])
        ids = file.tokens[start : start + int(corpus.documents.tokens[index])]
        found.append(" ".join(corpus.tokenizer.decode(ids.tolist()).lower().split()))
    return found


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_copies_never_lie_on_both_sides(tmp_path: Path, deduplicate: bool, seed: int) -> None:
    corpus = build(write(tmp_path), tokenizer(), tmp_path / "cache", validation=0.2, seed=seed, deduplicate=deduplicate)
    trained, validated = said(corpus, corpus.trained), said(corpus, corpus.validated)
    assert len(trained) + len(validated) == (120 if deduplicate else 280)
    assert validated
    assert not set(trained) & set(validated)
    if deduplicate:
        assert corpus.skipped == {"duplicate": 160}
        assert len(set(trained) | set(validated)) == 120


def test_the_linter_finds_the_same_copies(tmp_path: Path) -> None:
    files = [file.path for file in write(tmp_path)]
    found = {finding.file: finding for finding in lint(files).findings if finding.code == "duplicate"}
    assert {Path(file).name: finding.count for file, finding in found.items()} == {"b.jsonl": 80, "c.csv": 80}
    assert all("a.txt:" in example.text for finding in found.values() for example in finding.examples)


def test_near_copies_in_another_file_are_told(tmp_path: Path) -> None:
    long = [f"{' '.join(f'{a} {q}' for q, a in TEXTS[n : n + 9])}" for n in range(0, 90, 9)]
    (tmp_path / "a.txt").write_text("\n\n".join(long))
    (tmp_path / "b.txt").write_text("\n\n".join(text + " Indeed so." for text in long))
    found = [one for one in lint([tmp_path / "a.txt", tmp_path / "b.txt"]).findings if one.code == "near_duplicate"]
    assert [(Path(one.file).name, one.count) for one in found] == [("b.txt", 10)]
    assert ALIKE <= 0.9
    assert "a.txt:" in found[0].text
