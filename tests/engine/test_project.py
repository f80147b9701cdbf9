"""Where things are, and which names are safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.project import NAME, Project, check_name, find_project, project_of

GOOD = ["a", "0", "sacrifice", "my-model.v2_x", "a" * 64, "x.y", "console", "com10", "a-", "a_"]
BAD = [
    "", ".", "..", ".hidden", "-x", "_x", "a/b", "/abs", "../up", "a\\b", "a b", "a\0", "a\n", "A", "Ä", "ﬁ", "a" * 65,
    "a" * 300, "a..b", "a.", "con", "nul", "aux.txt", "com1", "lpt9", "prn", "a:b", "a*", "a?", "~", "$HOME", "\x1b[0m",
    "a\u202eb", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_bad_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    message = str(caught.value)
    assert "cannot be the name of a model" in message and "Use up to 64 lower-case letters" in message
    assert message.isprintable() and len(message) < 300


@given(st.text(max_size=80))
def test_what_is_suggested_is_good(name: str) -> None:
    try:
        check_name(name)
    except UsageError as error:
        _, found, hint = error.fix.partition('Try "')
        if found:
            assert check_name(hint.rstrip('".'))


@given(st.from_regex(NAME, fullmatch=True))
def test_good_names_are_one_plain_folder(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return
    assert Path("models", name).parts == ("models", name) and not name.startswith(".")


def test_places(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.job_file == tmp_path / "forge.toml"
    assert project.model("x") == tmp_path / "models" / "x"
    assert project.runs("x") == tmp_path / "models" / "x" / "runs"
    assert project.trash.parent == project.models and project.trash.name.startswith(".")
    with pytest.raises(UsageError):
        project.model("../x")


def test_paths_are_shown_from_the_root(tmp_path: Path) -> None:
    project = Project(tmp_path / "p")
    (project.root / "data").mkdir(parents=True)
    assert project.relative(project.root / "data" / ".." / "data" / "x.txt") == "data/x.txt"
    assert project.relative(tmp_path / "else") == str(tmp_path / "else")
    circle = project.root / "circle"
    circle.symlink_to(circle)
    assert project.relative(circle).endswith("circle")


def test_the_nearest_project_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "outer" / "inner"
    deep = inner / "data" / "more"
    deep.mkdir(parents=True)
    assert find_project(deep) is None
    (tmp_path / "outer" / "forge.toml").touch()
    assert find_project(deep) == Project(tmp_path / "outer")
    (inner / "forge.toml").touch()
    monkeypatch.chdir(deep)
    assert find_project() == Project(inner)
    (deep / "forge.toml").mkdir()
    assert find_project() == Project(inner), "a folder of that name is no job"
    assert project_of(Path("../../forge.toml")) == Project(inner)
