from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.library.about import About, Former
from engine.library.catalogue import ModelEntry
from engine.library.lineage import in_words, relation, tree, with_parent
from engine.model.card import Ancestor


def entry(name: str, *steps: Ancestor, **facts: Any) -> ModelEntry:
    return ModelEntry(name=name, folder=Path(name), lineage=steps, **facts)


def cloned(source: str, time: float, sha: str = "") -> Ancestor:
    return Ancestor(action="clone", time=time, source=source, source_sha256=sha)


def parents(*entries: ModelEntry) -> dict[str, str]:
    return {found.name: found.parent for found in (with_parent(one, entries) for one in entries)}


def test_the_parent_is_who_had_the_name_at_the_time() -> None:
    old = entry("b", created=10.0, about=About(since=100.0, former=(Former("a", 0.0, 100.0),)))
    new = entry("a", created=200.0)
    early, late = entry("early", cloned("a", 50.0)), entry("late", cloned("a", 300.0))
    assert parents(old, new, early, late) == {"b": "", "a": "", "early": "b", "late": "a"}


def test_a_new_model_under_an_old_name_is_no_parent() -> None:
    child = entry("child", cloned("a", 50.0))
    assert parents(entry("a", created=200.0), child)["child"] == ""
    assert with_parent(child, [entry("a", created=200.0)]).origin == "a"


def test_of_two_that_had_the_name_the_one_with_the_weights_is_the_parent() -> None:
    first = entry("x", created=1.0, weights_sha256="11", about=About(former=(Former("a", 0.0, 100.0),), since=100.0))
    second = entry("y", created=1.0, weights_sha256="22", about=About(former=(Former("a", 0.0, 100.0),), since=100.0))
    assert parents(first, second, entry("c", cloned("a", 50.0, "22")))["c"] == "y"


def test_the_tree_puts_children_after_their_parents() -> None:
    entries = [
        entry("a"),
        entry("b", parent="z"),
        entry("c", parent="a"),
        entry("d", parent="c"),
        entry("e", parent="a"),
        entry("z"),
    ]
    shown = [(branch.entry.name, branch.depth, branch.last) for branch in tree(entries)]
    assert shown == [
        ("a", 0, ()),
        ("c", 1, (False,)),
        ("d", 2, (False, True)),
        ("e", 1, (True,)),
        ("z", 0, ()),
        ("b", 1, (True,)),
    ]


@given(st.lists(st.integers(0, 7), max_size=8))
def test_every_model_is_in_the_tree_once_even_in_circles(links: list[int]) -> None:
    entries = [entry(str(index), parent=str(link)) for index, link in enumerate(links)]
    assert sorted(branch.entry.name for branch in tree(entries)) == sorted(one.name for one in entries)


def test_relations_are_said_in_words() -> None:
    entries = [entry("a"), entry("b", parent="a"), entry("c", parent="b"), entry("d", parent="a"), entry("e")]
    by_name = {one.name: one for one in entries}
    assert relation(by_name["c"], by_name["a"], entries) == "c came from a by way of b."
    assert relation(by_name["a"], by_name["b"], entries) == "b came from a."
    assert relation(by_name["c"], by_name["d"], entries) == "Both came from a."
    assert relation(by_name["a"], by_name["e"], entries) == "They are not related."


def test_a_step_is_said_in_words() -> None:
    step = Ancestor(action="build", size="nano", parameters=1310720, steps=300, tokens=9000, val_bpb=1.2)
    assert in_words(step) == "built: nano, 1,310,720 parameters, 300 steps, 9,000 tokens, 1.200 bits/byte"
    assert in_words(cloned("a", 1.0)) == "cloned from a"
