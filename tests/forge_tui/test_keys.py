"""The key registry: unique, without clashes, documented, and forgiving towards a user's file."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from forge_tui.keys import BY_ID, KEYS, SCOPES, bindings, check_keymap, document, shown_all

TOGETHER = (("app", "train", "chart", "log"), ("app", "runs", "list", "filter"), ("modal", "confirm"), ("modal", "ask"),
            ("modal", "help"), ("modal", "overlay", "list"))  # fmt: skip
"""Scopes whose keys are active at the same time."""


def test_ids_are_unique_and_their_scopes_known() -> None:
    assert len(BY_ID) == len(KEYS)
    assert {key.scope for key in KEYS} == set(SCOPES)


@pytest.mark.parametrize("scopes", TOGETHER)
def test_no_key_does_two_things_at_once(scopes: tuple[str, ...]) -> None:
    members = [key for key in KEYS if key.scope in scopes]
    for first, second in combinations(members, 2):
        both = set(first.keys.split(",")) & set(second.keys.split(","))
        if {first.scope, second.scope} & {"modal"}:
            continue
        assert not both, (first.id, second.id, both)


def test_labels_are_short_and_help_is_a_sentence() -> None:
    for key in KEYS:
        assert not key.hint or (len(key.label.split()) <= 3 and len(key.label) <= 15), key.id
        assert key.help[0].isupper() or key.help[0] == "`", key.id
        assert not key.help.endswith("."), key.id


def test_documentation_is_current() -> None:
    """`python -m forge_tui.keys > docs/keys.md` after every change of a key."""
    written = Path(__file__).parents[2] / "docs" / "keys.md"
    assert written.read_text(encoding="utf-8") == document()
    done = subprocess.run([sys.executable, "-m", "forge_tui.keys"], capture_output=True, text=True, check=True)
    assert done.stdout == document()


def test_every_key_is_documented() -> None:
    assert all(f"`{key.id}`" in document() for key in KEYS)


def test_keymap_of_a_user() -> None:
    keymap, problems = check_keymap({"train.pause": "space", "app.quit": ["q", "^x"], "app.help": "?"})
    assert keymap == {"train.pause": "space", "app.quit": "q,ctrl+x", "app.help": "question_mark"} and not problems


@pytest.mark.parametrize(
    ("table", "word"),
    [({"train.puase": "x"}, "Did you mean"), ({"train.pause": 3}, "needs a key"), ({"train.pause": []}, "needs a key"),
     ({"train.pause": ["x", 5]}, "needs a key"), ({"train.pause": "s"}, "train.stop"),
     ({"train.pause": "b", "train.save": "b"}, "is both")],
)  # fmt: skip
def test_mistakes_are_named_and_left_out(table: dict[str, object], word: str) -> None:
    keymap, problems = check_keymap(table)
    assert len(problems) == 1 and word in problems[0]
    assert len(keymap) == len(table) - 1


def test_unknown_scope_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="no keys"):
        bindings("nowhere")


def test_keys_are_shown_as_people_write_them() -> None:
    assert shown_all("ctrl+p,question_mark,pagedown,shift+tab") == "^p ? pgdn shift+tab"
