"""Who imports what, asked of `sys.modules` in a fresh process, so that indirect imports count as well."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine
import forge_tui

ROOT = Path(__file__).parents[1]
LIGHT = [
    "engine.errors", "engine.events", "engine.exit_codes", "engine.estimate", "engine.files", "engine.job",
    "engine.job_file", "engine.job_schema", "engine.processor", "engine.project", "engine.sizes", "engine.toml_lines",
    "engine.runs.channel", "engine.runs.control", "engine.runs.curve", "engine.runs.death", "engine.runs.digest",
    "engine.runs.environment", "engine.runs.host", "engine.runs.journal", "engine.runs.launch",
    "engine.runs.manifest", "engine.runs.preview", "engine.runs.process", "engine.runs.speaker", "engine.runs.state",
    "engine.runs.task", "engine.runs.worker", "engine.text.formats", "engine.text.lint", "engine.text.sanitize",
    "engine.text.sniff", "engine.model.card", "engine.model.info", "engine.model.sampling",
    "engine.library.catalogue", "engine.library.clone",
]  # fmt: skip
"""What the app and the commands build on: no torch, no numpy-heavy tokenizer, no screen."""

SCRIPT = """
import importlib, json, sys
names, forbidden = json.loads(sys.argv[1])
found = {}
for name in names:
    importlib.import_module(name)
    for other in forbidden:
        if other in sys.modules:
            found.setdefault(other, name)
print(json.dumps(found))
"""


def modules_of(package: object) -> list[str]:
    """Every module of a package."""
    path, name = package.__path__, package.__name__  # type: ignore[attr-defined]
    found = [module.name for module in pkgutil.walk_packages(path, f"{name}.") if "__main__" not in module.name]
    assert len(found) > 10
    return [name, *found]


def first_importers(names: list[str], forbidden: list[str]) -> dict[str, str]:
    """Which of the forbidden modules are imported, each with the first of `names` after which it is there."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([names, forbidden])], capture_output=True, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_nothing_of_the_app_imports_torch() -> None:
    assert first_importers(modules_of(forge_tui), ["torch", "safetensors", "transformers"]) == {}


def test_the_modules_that_need_no_torch_import_none() -> None:
    light = sorted(name for name in modules_of(engine) if name in LIGHT)
    assert light == sorted(LIGHT), "a module was renamed: change the list above"
    assert (
        first_importers(light, ["torch", "safetensors", "tokenizers", "textual", "rich", "plotext", "forge_tui"]) == {}
    )


def test_the_engine_knows_no_screen() -> None:
    assert first_importers(modules_of(engine), ["textual", "rich", "plotext", "forge_tui"]) == {}


@pytest.mark.parametrize(
    "name", ["forge_tui.cli", "forge_tui.batch", "forge_tui.run_lines", "forge_tui.commands.control"]
)
def test_headless_modules_import_no_screen(name: str) -> None:
    assert first_importers([name], ["textual", "rich", "plotext", "torch"]) == {}


def test_the_first_screens_wait_for_nothing_that_they_can_do_without() -> None:
    heavy = ["argparse", "engine.job", "engine.text.sniff", "engine.text.report", "engine.text.readers", "tomlkit"]
    names = ["forge_tui.cli", "forge_tui.app", "forge_tui.screens.data"]
    assert first_importers(names, heavy) == {}
