from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.library.names import find_folder, free_folder, key_of, model_names
from engine.project import Project


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    (tmp_path / "models").mkdir()
    return Project(tmp_path)


@given(st.text(max_size=20))
def test_capitals_and_unicode_forms_make_no_other_key(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert key_of(unicodedata.normalize(form, name)) == key_of(name)
    assert key_of(key_of(name)) == key_of(name)


@pytest.mark.parametrize("name", ["abc", "a.b-c_d", "x" * 64])
def test_good_names_differ_by_their_capitals_only_from_bad_ones(name: str) -> None:
    assert key_of(name.upper()) == key_of(name)


def test_folders_that_start_with_a_dot_and_files_are_no_models(empty: Project) -> None:
    for name in (".trash", ".new-1", "real", "Odd"):
        (empty.models / name).mkdir()
    (empty.models / "README.md").touch()
    assert model_names(empty) == ["Odd", "real"]


def test_no_models_folder_means_no_models(tmp_path: Path) -> None:
    assert model_names(Project(tmp_path)) == []


def test_a_name_is_found_whatever_its_capitals(empty: Project) -> None:
    (empty.models / "sacrifice").mkdir()
    assert find_folder(empty, "Sacrifice").name == "sacrifice"


def test_of_two_names_alike_only_the_exact_one_is_found(empty: Project) -> None:
    for name in ("sacrifice", "Sacrifice"):
        (empty.models / name).mkdir(exist_ok=True)
    if len(model_names(empty)) == 1:
        pytest.skip("this file system takes both for one")
    assert find_folder(empty, "Sacrifice").name == "Sacrifice"
    with pytest.raises(UsageError, match="Did you mean"):
        find_folder(empty, "SACRIFICE")


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "a/b", ".trash", "no\0pe", "\x1b[31m", "/etc", "x" * 5000])
def test_what_is_no_name_is_not_found(empty: Project, name: str) -> None:
    (empty.models / ".trash").mkdir()
    with pytest.raises(UsageError) as caught:
        find_folder(empty, name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["..", "a/b", ".x", "Über", "con", "nul.txt", "UPPER", "x" * 65, "a b", "-a", ""])
def test_unsafe_names_are_never_free(empty: Project, name: str) -> None:
    with pytest.raises(UsageError):
        free_folder(empty, name)


def test_a_name_that_some_file_system_takes_for_another_is_refused(empty: Project) -> None:
    (empty.models / "Sacrifice").mkdir()
    with pytest.raises(UsageError, match="same name on some file systems"):
        free_folder(empty, "sacrifice")
    assert free_folder(empty, "sacrifice", instead_of="Sacrifice").name == "sacrifice"


def test_composed_and_decomposed_accents_collide(empty: Project) -> None:
    (empty.models / unicodedata.normalize("NFD", "modèle")).mkdir()
    assert find_folder(empty, unicodedata.normalize("NFC", "Modèle")).is_dir()


def test_something_that_is_no_folder_is_in_the_way_too(empty: Project) -> None:
    (empty.models / "taken").symlink_to("nowhere")
    with pytest.raises(UsageError, match="in the way"):
        free_folder(empty, "taken")
