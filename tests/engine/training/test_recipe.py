"""Every rule of the recipe, on facts made up: what decides it, where it ends, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.estimate import MEMORY_SHARE, MachineMemory, training_memory
from engine.job import TrainSection
from engine.sizes import SIZES, dimensions_of
from engine.training.recipe import Facts, Recipe, decide_epochs, resolve
from engine.typed import convert

GB = 10**9
NO_KEYS = {"why", "optimizer", "activation_checkpointing", "embedding_share"}
AUTO = TrainSection(epochs="auto", sequence_length="auto")


def facts(size: str = "nano", free: int = 16 * GB, **changes: Any) -> Facts:
    known: dict[str, Any] = {
        "dims": dimensions_of(size), "vocabulary": 4096, "tokens_per_epoch": 400_000, "epochs": 6,
        "median_document": 60, "longest_document": 400, "continuing": False, "device": "cpu",
        "memory": MachineMemory(total=2 * free, available=free),
    }  # fmt: skip
    return Facts(**known | changes)


def recipe(train: TrainSection = AUTO, **changes: Any) -> Recipe:
    return resolve(train, facts(**changes))


def test_a_step_has_as_many_tokens_as_leave_steps_enough() -> None:
    small, large = recipe(tokens_per_epoch=60_000), recipe(tokens_per_epoch=4_000_000)
    assert small.batch_size * small.sequence_length == 1024, "never fewer: a processor would idle"
    assert large.batch_size * large.sequence_length == 4096, "never more: small steps learn more from a token"
    assert recipe(tokens_per_epoch=4_000_000, device="cuda").batch_size * 256 == 16_384
    assert "steps" in small.why["train.batch_size"]
    for size, tokens in {"micro": 2048, "tiny": 2048, "small": 4096, "medium": 4096}.items():
        wide = recipe(size=size, tokens_per_epoch=60_000)
        assert wide.batch_size * wide.gradient_accumulation * wide.sequence_length == tokens, "Muon must not cost more"


@pytest.mark.parametrize(
    ("median", "longest", "length"), [(20, 40, 128), (60, 400, 256), (200, 210, 512), (5_000, 90_000, 512)]
)
def test_rows_are_as_long_as_documents_need(median: int, longest: int, length: int) -> None:
    decided = recipe(median_document=median, longest_document=longest)
    assert decided.sequence_length == length
    assert f"{median} tokens in the middle" in decided.why["train.sequence_length"]


def test_the_rate_follows_the_root_of_the_step_and_for_adamw_the_width() -> None:
    adamw = replace(AUTO, optimizer="adamw", sequence_length=256, batch_size=16)
    muon = replace(adamw, optimizer="muon")
    assert recipe(muon).learning_rate == 0.02 == recipe(muon, size="small").learning_rate
    assert recipe(replace(muon, batch_size=4, gradient_accumulation=1)).learning_rate == 0.01
    assert recipe(adamw).learning_rate == 3e-3
    assert recipe(adamw, size="tiny").learning_rate == pytest.approx(
        3e-3 * 128 / SIZES["tiny"].dimensions.dim, rel=0.01
    )


def test_continuing_is_gentle() -> None:
    fresh, on = recipe(), recipe(continuing=True)
    assert on.learning_rate == pytest.approx(fresh.learning_rate / 5, rel=0.01)
    assert on.weight_decay == 0 and on.prompt_weight == 0.3 and fresh.prompt_weight == 1.0
    assert "forgets" in on.why["train.weight_decay"] and "keep what it knows" in on.why["train.learning_rate"]


def test_muon_unless_somebody_names_a_rate() -> None:
    assert recipe().optimizer == "muon" == recipe(replace(AUTO, learning_rate="find")).optimizer
    assert recipe(replace(AUTO, learning_rate=1e-3)).optimizer == "adamw"
    assert recipe(replace(AUTO, learning_rate=0.02, optimizer="muon")).optimizer == "muon"
    assert recipe(replace(AUTO, preset="classic")).optimizer == "adamw"


def test_decay_is_strong_where_text_is_repeated() -> None:
    once, often = recipe(epochs=2), recipe(epochs=12, tokens_per_epoch=60_000)
    assert once.weight_decay == 0.1 and "hardly repeated" in once.why["train.weight_decay"]
    assert 1.5 < often.weight_decay <= 3.2 and "seen 12 times" in often.why["train.weight_decay"]


def test_decay_is_stronger_the_more_often_text_is_seen() -> None:
    train = replace(AUTO, sequence_length=256, batch_size=8, gradient_accumulation=1)
    for epochs, lasting in {3: 1.61, 8: 1.09, 12: 0.93, 16: 0.82}.items():
        decided = recipe(train, epochs=epochs, tokens_per_epoch=200_000)
        lasts = 2048 / (decided.learning_rate * decided.weight_decay * 200_000)
        assert lasts == pytest.approx(lasting, rel=0.02)
        assert f"about {lasts:.2g} epochs" in decided.why["train.weight_decay"]


def test_embeddings_are_fast_on_new_text_and_slow_on_repeated_text() -> None:
    shares = [recipe(epochs=epochs).embedding_share for epochs in (1, 3, 9, 16)]
    assert shares == pytest.approx([1.5, 0.866, 0.5, 0.375])
    assert recipe(epochs=1).why["the embeddings' rate"] == "1.5 of the matrices': the data are seen once"
    assert recipe(epochs=9).why["the embeddings' rate"] == "0.5 of the matrices': the data are seen 9 times"
    assert recipe(epochs=1, continuing=True).embedding_share == 0.5 > recipe(epochs=16, continuing=True).embedding_share
    assert "keep what it knows" in recipe(epochs=1, continuing=True).why["the embeddings' rate"]
    assert "the embeddings' rate" not in recipe(replace(AUTO, optimizer="adamw")).why


def test_averaging_and_warm_up_follow_the_length_of_the_run() -> None:
    assert recipe(epochs=16).average == 0.5 and recipe(epochs=5).average == 0.2
    assert recipe().warmup == 0 and "none" in recipe().why["train.warmup"], "Muon needs none"
    for change in ({"train": replace(AUTO, optimizer="adamw")}, {"continuing": True}):
        short, long = recipe(**change, tokens_per_epoch=20_000), recipe(**change, tokens_per_epoch=4_000_000, epochs=3)
        assert short.warmup > 0.1 and long.warmup == 0.02


def test_rows_are_read_in_pieces_first_where_documents_are_longer_anyway() -> None:
    prose = {"median_document": 900, "longest_document": 1500, "epochs": 2}
    assert recipe(**prose).length_warmup == 0.7 and "64 tokens first" in recipe(**prose).why["train.length_warmup"]
    for change, reason in (
        ({"median_document": 200}, "shorter than a row"),
        ({"continuing": True}, "goes on"),
        ({"grown": True}, "goes on"),
        ({"epochs": 3}, "seen 3 times"),
        ({"device": "cuda"}, "one length"),
        ({"train": replace(AUTO, compile=True)}, "one length"),
        ({"train": replace(AUTO, sequence_length=64)}, "short as they are"),
        ({"train": replace(AUTO, preset="classic")}, "classic"),
    ):
        none = recipe(**prose | change)  # type: ignore[arg-type]
        assert none.length_warmup == 0 and reason in none.why["train.length_warmup"]
    assert recipe(replace(AUTO, length_warmup=0.3)).length_warmup == 0.3, "asked for, whatever the documents"


def test_tokens_are_split_where_data_are_seen_often() -> None:
    assert recipe(epochs=6).bpe_dropout == recipe(epochs=16).bpe_dropout == 0.1
    assert "seen 6 times" in recipe(epochs=6).why["train.bpe_dropout"]
    for change, reason in (
        ({"epochs": 5}, "6 times or more"),
        ({"continuing": True}, "goes on"),
        ({"grown": True}, "goes on"),
        ({"tokens_per_epoch": 60_000_000}, "memory"),
        ({"train": replace(AUTO, preset="classic")}, "classic"),
    ):
        none = recipe(**{"epochs": 10} | change)  # type: ignore[arg-type]
        assert none.bpe_dropout == 0 and reason in none.why["train.bpe_dropout"]


def test_epochs_teach_something_and_end_where_they_teach_nothing_new() -> None:
    few, why_few = decide_epochs(AUTO, 10_000, 1_000_000)
    some, _ = decide_epochs(AUTO, 10_000_000, 1_000_000)
    much, why_much = decide_epochs(AUTO, 100_000_000, 1_000_000)
    assert (few, some, much) == (16, 4, 1)
    assert "nothing new" in why_few and "tokens a parameter" in why_much
    assert decide_epochs(replace(AUTO, epochs=7), 1, 1) == (7, "as asked")
    assert decide_epochs(replace(AUTO, preset="classic"), 1, 1)[0] == 30


def test_rows_are_halved_until_they_fit_and_the_step_stays() -> None:
    roomy = recipe(size="small", tokens_per_epoch=4_000_000)
    needed = training_memory(dimensions_of("small"), 4096, roomy.batch_size, roomy.sequence_length)
    tight = recipe(size="small", tokens_per_epoch=4_000_000, free=int(0.8 * needed / MEMORY_SHARE))
    assert tight.batch_size < roomy.batch_size
    assert tight.batch_size * tight.gradient_accumulation == roomy.batch_size * roomy.gradient_accumulation
    assert "so that it fits" in tight.why["train.batch_size"]
    assert not tight.activation_checkpointing


def test_activations_are_recomputed_only_where_one_row_is_too_large() -> None:
    one_row = training_memory(dimensions_of("small"), 4096, 1, 256)
    least = training_memory(dimensions_of("small"), 4096, 1, 256, recompute=True)
    assert least < one_row
    decided = recipe(size="small", tokens_per_epoch=4_000_000, free=int(0.99 * one_row / MEMORY_SHARE))
    assert decided.batch_size == 1 and decided.activation_checkpointing
    assert decided.why["activation checkpointing"].startswith("yes")
    assert recipe().why["activation checkpointing"].startswith("no")


def test_what_no_key_decides_is_told_as_well() -> None:
    why = recipe().why
    assert why["dropout"] and "1,000 steps" in why["evaluation"]
    assert why["train.early_stop"].startswith("never") and why["train.gradient_clip"] == "the usual norm"
    asked = recipe(replace(AUTO, early_stop=3, gradient_clip=0.5)).why
    assert asked["train.early_stop"] == "as asked" == asked["train.gradient_clip"]


@given(
    st.sampled_from(["nano", "micro", "tiny", "mini", "small", "medium"]),
    st.integers(1, 10**9),
    st.integers(1, 1000),
    st.integers(1, 100_000),
    st.integers(1, 10**7),
    st.booleans(),
    st.sampled_from(["cpu", "cuda"]),
    st.integers(10**8, 10**12),
)
def test_whatever_the_facts_every_number_can_be_used_and_has_a_reason(
    size: str, tokens: int, epochs: int, median: int, more: int, continuing: bool, device: str, free: int
) -> None:
    decided = recipe(
        size=size, tokens_per_epoch=tokens, epochs=epochs, median_document=median, longest_document=median + more,
        continuing=continuing, device=device, free=free,
    )  # fmt: skip
    numbers = {name: getattr(decided, name) for name in Recipe.__dataclass_fields__ if name not in NO_KEYS}
    convert(numbers, TrainSection)  # the bounds of forge.toml hold
    assert 1e-4 <= decided.learning_rate <= 0.04 and 0 <= decided.warmup <= 0.2 and decided.weight_decay <= 3.2
    assert decided.batch_size >= 1 <= decided.gradient_accumulation and 128 <= decided.sequence_length <= 512
    assert all(decided.why[f"train.{name}"] for name in numbers)
