from __future__ import annotations

import json

import pytest

from engine.errors import ModelError
from engine.model.card import Ancestor, DataFile, ModelCard

FULL = ModelCard(
    name="sample",
    size="nano",
    parameters=1_310_000,
    vocabulary=4096,
    context=512,
    metrics={"val_bpb": 1.2345},
    data=(DataFile("data/a.txt", "ab" * 32, 1000, 12),),
    lineage=(
        Ancestor("build", size="nano", parameters=1_000_000, steps=10, tokens=2000, val_bpb=1.9),
        Ancestor("grow", size="micro", source="small|one", note="exact to 2e-7"),
    ),
)


def test_json_round_trip() -> None:
    assert ModelCard.from_json(FULL.to_json()) == FULL


def test_keys_of_later_versions_are_left_out() -> None:
    table = json.loads(FULL.to_json()) | {"mood": "good", "format": 2}
    assert ModelCard.from_json(json.dumps(table).encode()).name == "sample"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"name": 3}', b'{"name": "x", "step": "many"}', b"[" * 5000])
def test_damaged_records_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="record is damaged"):
        ModelCard.from_json(data, "forge.json")


def test_readme_tells_people_everything() -> None:
    text = FULL.readme()
    for words in (
        "# sample",
        "1,310,000 parameters",
        "val\\_bpb | 1.2345",
        "data/a.txt",
        "grow: micro",
        "exact to 2e-7",
    ):
        assert words in text
    assert "apply_chat_template" in text
    assert "apply_chat_template" not in ModelCard(name="x", conversation=False).readme()


def test_names_cannot_break_out_of_the_readme() -> None:
    hostile = "a|b`\n# <script>[x](y)\x1b]0;z\x07"
    text = ModelCard(name=hostile, data=(DataFile(hostile, "", 1),)).readme()
    assert "\x1b" not in text and "<script>" not in text.replace("\\<script\\>", "")
    assert text.count("\n# ") == 1
    row = next(line for line in text.splitlines() if line.startswith("| a"))
    assert row.replace("\\|", "").count("|") == 5
