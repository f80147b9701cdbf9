from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.model.card import ModelCard
from engine.model.info import read_model

QUIET = "engine.model.info engine.model.card engine.model.versions engine.model.weights engine.model.architecture"


@pytest.mark.parametrize("module", ["engine", *QUIET.split(), "engine.model.sampling", "engine.model.gguf"])
def test_modules_without_torch_stay_so(module: str) -> None:
    code = f"import sys, {module}; assert not {{'torch', 'transformers', 'textual'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_what_can_be_known_without_loading(make_model: Callable[..., Path]) -> None:
    info = read_model(make_model("sample", card=ModelCard(name="sample", step=5, conversation=False)))
    assert info.name == "sample"
    assert info.size == "custom"
    assert info.parameters == info.architecture.parameters() == info.weights.bytes // 4
    assert info.weights.dtype == "float32"
    assert info.card is not None and info.card.step == 5 and not info.card.conversation
    assert info.stop_ids == (0, 2)


def test_a_model_of_another_program_has_no_card(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "forge.json").unlink()
    (folder / "generation_config.json").unlink()
    info = read_model(folder)
    assert info.card is None and info.stop_ids == (0, 2)


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        read_model(tmp_path / "nothing")
