"""The documents say what is now so."""

from __future__ import annotations

import re
from pathlib import Path

from engine.exit_codes import ExitCode
from engine.job_reference import page
from engine.sizes import LADDER
from engine.training import guard

ROOT = Path(__file__).resolve().parents[1]


def test_the_reference_of_forge_toml_is_current() -> None:
    assert (ROOT / "docs/forge-toml.md").read_text() == page(), "python -m engine.job_reference > docs/forge-toml.md"


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", (ROOT / "docs/runs.md").read_text(), re.MULTILINE)
    documented = {int(number) for row in rows for number in row.split(",")}
    assert documented == {int(code) for code in ExitCode}


def test_the_documented_numbers_of_the_guard_are_its_own() -> None:
    text = " ".join((ROOT / "docs/runs.md").read_text().split())
    assert f"after {guard.WARMUP_STEPS} steps, its loss is more than {guard.LOSS_JUMP:g} nats" in text
    assert f"{guard.SPIKE_SIGMAS:g} standard deviations above its running mean and {guard.SPIKE_RATIO:g} times" in text


def test_no_page_links_into_nothing() -> None:
    for page_file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "data").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page_file.read_text()):
            assert (page_file.parent / target).exists(), f"{page_file.name}: {target}"


def test_the_sizes_in_the_readme_are_exact() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| ([\d.]+ [MB]) \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert list(rows) == [size.name for size in LADDER]
    for size in LADDER:
        number, unit = rows[size.name].split()
        exact = size.dimensions.parameters(4096) / (1e9 if unit == "B" else 1e6)
        assert float(number) == float(f"{exact:.3g}"), size.name


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    text = (ROOT / "README.md").read_text()
    commands = [line for line in text.splitlines() if "pip install -c constraints.txt" in line]
    assert len(commands) == 2
    assert "forge-tui --batch forge.toml" in commands[0] and "-m pytest" in commands[1]
