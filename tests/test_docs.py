"""The documents say what is now so."""

from __future__ import annotations

import re
from pathlib import Path

from engine.estimate import machine_memory
from engine.exit_codes import ExitCode
from engine.job import TrainSection
from engine.job_reference import page
from engine.sizes import LADDER, dimensions_of
from engine.text.dataset import SCORED_TOKENS
from engine.training import guard, recipe
from engine.training.course import SPLIT_EPOCHS
from engine.training.length_warmup import SHORTEST
from engine.training.schedule import HOLD

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


def test_the_documented_rules_of_the_recipe_are_its_own() -> None:
    lines = re.findall(r"^\| ([^|]+) \| (.+) \|$", (ROOT / "docs/recipe.md").read_text(), re.MULTILINE)
    rows = dict(lines)
    keys = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    facts = recipe.Facts(
        dims=dimensions_of("nano"), vocabulary=4096, tokens_per_epoch=10**6, epochs=3, median_document=60,
        longest_document=400, continuing=False, device="cpu", memory=machine_memory(),
    )  # fmt: skip
    plan = recipe.resolve(TrainSection(), facts)
    decided = {key.removeprefix("train.") for key in plan.why if key.startswith("train.")}
    assert decided - {"gradient_clip"} <= keys, "each decision has its line"
    assert (
        f"{recipe.MOST_TOKENS_PER_PARAMETER} tokens a parameter, at most {recipe.MOST_EPOCHS} passes"
        in rows["`epochs`"]
    )
    assert f"as leave {recipe.TARGET_STEPS:,} steps" in rows["tokens a step (`batch_size`, `gradient_accumulation`)"]
    assert (
        f"{recipe.LEAST_TOKENS_PER_WIDTH} times the width"
        in rows["tokens a step (`batch_size`, `gradient_accumulation`)"]
    )
    assert f"with Muon, {recipe.EMBEDDING_SHARE} of the matrices'" in rows["the embeddings' rate"]
    epochs = f"weights last {recipe.DECAY_EPOCHS['muon']} epochs (Muon) or {recipe.DECAY_EPOCHS['adamw']} (AdamW)"
    assert f"{epochs} times the power {recipe.DECAY_EXPONENT} of the number of epochs" in rows["`weight_decay`"]
    halved = f"half-life of {recipe.AVERAGE_EPOCHS} epochs, at most {recipe.AVERAGE_SHARE:.0%}".replace("%", " %")
    assert halved in rows["`average`"]
    assert f"up to {recipe.LENGTH_WARMUP:.0%} of".replace("%", " %") in rows["`length_warmup`"]
    assert f"of {SHORTEST} tokens first" in rows["`length_warmup`"]
    split = f"{recipe.BPE_DROPOUT} from scratch where data are seen {recipe.OFTEN} times or more"
    assert rows["`bpe_dropout`"].startswith(split)
    assert f"at most {recipe.MOST_TOKENS_TO_SPLIT / 1e6:.0f} million tokens" in rows["`bpe_dropout`"]
    assert f"first {SPLIT_EPOCHS:.0%} of the epochs".replace("%", " %") in rows["`bpe_dropout`"]
    assert f"1 from scratch, {recipe.FINE_TUNE_PROMPT_WEIGHT} when" in rows["`prompt_weight`"]
    assert f"up to {HOLD:.0%}".replace("%", " %") in rows["the schedule"]
    assert f"of at most {SCORED_TOKENS:,} tokens" in rows["evaluation"]
    assert f"every {recipe.EVALUATE_STEPS:,} steps" in rows["evaluation"]


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
