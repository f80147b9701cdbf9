from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.errors import ModelError, UsageError
from engine.model.card import ModelCard
from engine.model.generate import prompt_of_text, prompt_of_turns
from engine.model.loaded import find_model
from engine.model.sampling import SamplingSettings
from engine.text.conversation import Turn

MakeModel = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "forge.toml").write_text("")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path


def test_a_model_is_found_by_name_in_the_project_around(project: Path, make_model: MakeModel) -> None:
    folder = make_model("sacrifice")
    model = engine.load_model("sacrifice")
    assert model.info.folder == folder
    answer = model.generate("What is Python?", seed=1, max_tokens=12)
    assert isinstance(answer, str)
    assert answer == model.generate("What is Python?", seed=1, max_tokens=12)
    assert engine.load_model(folder).chat([Turn("user", "What is Python?")], seed=1, max_tokens=12) == answer


def test_a_missing_model_names_those_that_there_are(project: Path, make_model: MakeModel) -> None:
    make_model("other")
    with pytest.raises(ModelError, match="There are: other"):
        find_model("sacrifice")
    for name in ("", "../x", "a\0b", "\x1b[31m", "x" * 300):
        with pytest.raises(ModelError) as caught:
            find_model(name)
        assert "\x1b" not in str(caught.value) and "\0" not in str(caught.value)


def test_a_question_is_answered_and_a_beginning_continued(make_model: MakeModel) -> None:
    settings = SamplingSettings(temperature=0.0, max_tokens=8)
    talker = engine.load_model(make_model("talker"))
    teller = engine.load_model(make_model("teller", card=ModelCard(name="teller", conversation=False)))
    assert talker.converses and not teller.converses
    asked = talker.answer([{"role": "user", "content": "What"}], settings)
    assert talker.generate("What", temperature=0.0, max_tokens=8) == asked.text
    assert teller.generate("What", temperature=0.0, max_tokens=8) == teller.complete("What", settings).text
    context = talker.decoder.architecture.context
    question = prompt_of_turns(talker.tokenizer, [Turn("user", "What")], context, settings)
    assert question.ids != prompt_of_text(talker.tokenizer, "What", context, settings).ids


def test_pieces_add_up_to_the_answer(make_model: MakeModel) -> None:
    model = engine.load_model(make_model())
    settings = SamplingSettings(seed=3, max_tokens=30)
    pieces = list(model.stream([Turn("user", "What is Python?")], settings))
    assert "".join(pieces) == model.answer([Turn("user", "What is Python?")], settings).text
    assert "".join(model.stream_text("Python", settings)) == model.complete("Python", settings).text


def test_bad_messages_and_settings_are_refused(make_model: MakeModel) -> None:
    model = engine.load_model(make_model())
    for messages in ([], [{"role": "robot", "content": "x"}], [{"role": "user"}], [{"role": "user", "content": 3}]):
        with pytest.raises(UsageError):
            model.chat(messages)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="temperature"):
        model.generate("x", temperature=-1)
    with pytest.raises(TypeError):
        model.generate("x", warmth=1)


def test_one_stop_string_or_several(make_model: MakeModel) -> None:
    model = engine.load_model(make_model())
    whole = model.generate("What", temperature=0.0, max_tokens=20)
    middle = whole[len(whole) // 2]
    for stop in (middle, [middle]):
        assert model.generate("What", temperature=0.0, max_tokens=20, stop=stop) == whole.split(middle)[0]


def test_the_package_names_what_it_has_and_imports_it_late() -> None:
    assert {"load_model", "LoadedModel"} <= set(dir(engine))
    with pytest.raises(AttributeError, match="nothing"):
        engine.nothing  # type: ignore[attr-defined]
    code = "import sys, engine; assert 'torch' not in sys.modules; engine.load_model; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
