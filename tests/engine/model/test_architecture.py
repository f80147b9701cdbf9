from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.model.architecture import Architecture, RopeScaling
from engine.model.transformer import Decoder
from engine.sizes import LADDER, Dimensions, Size

BASE = Architecture.of(Dimensions(layers=8, dim=128, heads=4, kv_heads=2, ffn=256), 512, 256)

FAMILIES = {
    "qwen3": BASE,
    "qwen2": replace(BASE, qk_norm=False, qkv_bias=True, head_dim=32, rope_theta=1e6),
    "llama": replace(BASE, qk_norm=False, tied=False, rope_scaling=RopeScaling(32.0, 1.0, 4.0, 8192)),
    "smollm3": replace(BASE, qk_norm=False, head_dim=32, nope_layers=(3, 7), rope_theta=5e6),
}


@pytest.mark.parametrize("size", LADDER, ids=lambda size: size.name)
def test_every_size_has_exactly_the_parameters_that_are_shown(size: Size) -> None:
    architecture = Architecture.of(size.dimensions, 4096, 512)
    with torch.device("meta"):
        decoder = Decoder(architecture)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == architecture.parameters()
    assert architecture.parameters() == size.dimensions.parameters(4096)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_exact_with_every_switch(family: str) -> None:
    with torch.device("meta"):
        decoder = Decoder(FAMILIES[family])
    assert sum(parameter.numel() for parameter in decoder.parameters()) == FAMILIES[family].parameters()


@pytest.mark.parametrize("family", FAMILIES)
def test_config_round_trip(family: str) -> None:
    config = FAMILIES[family].to_config()
    assert config["model_type"] == family
    assert Architecture.from_config(config) == FAMILIES[family]


def test_config_says_everything_under_old_and_new_names() -> None:
    config = BASE.to_config(dtype="bfloat16")
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 10_000.0
    assert config["max_position_embeddings"] == 256
    assert config["eos_token_id"] == [0, 2]


def test_old_config_of_llama_3_is_understood() -> None:
    config = FAMILIES["llama"].to_config()
    del config["rope_parameters"], config["head_dim"]
    config["rope_scaling"]["type"] = config["rope_scaling"].pop("rope_type")
    found = Architecture.from_config(config)
    assert found == replace(FAMILIES["llama"], head_dim=32)


def test_mistral_without_a_window_is_a_llama_and_a_window_bounds_the_context() -> None:
    config = FAMILIES["llama"].to_config() | {"model_type": "mistral", "sliding_window": None}
    assert Architecture.from_config(config) == FAMILIES["llama"]
    assert Architecture.from_config(config | {"sliding_window": 100}).context == 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auto_map": {"AutoModel": "x.Y"}}, "code of its own"),
        ({"model_type": "gpt_neox"}, "gpt_neox"),
        ({"model_type": None}, "Unknown model_type"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"attention_bias": True}, "attention_bias"),
        ({"use_sliding_window": True}, "sliding"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
        ({"hidden_size": "big"}, "hidden_size"),
        ({"hidden_size": 10**12}, "hidden_size"),
        ({"num_key_value_heads": 3}, "multiple"),
        ({"head_dim": 63}, "even"),
        ({"rms_norm_eps": -1}, "rms_norm_eps"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "yarn"),
        ({"rope_parameters": [1]}, "table"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8}}, "original_max"),
    ],
)
def test_what_would_compute_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Architecture.from_config(BASE.to_config() | change, "config.json")


def test_impossible_combination_of_switches_has_no_config() -> None:
    with pytest.raises(ModelError):
        replace(BASE, qkv_bias=True).to_config()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted({*BASE.to_config(), "auto_map", "no_rope_layers"})), JSON, max_size=4))
def test_any_config_is_understood_or_refused(change: dict[str, Any]) -> None:
    for family in ("qwen3", "smollm3", "mistral"):
        try:
            found = Architecture.from_config({**BASE.to_config(), "model_type": family, **change})
        except ModelError:
            continue
        assert found.parameters() > 0
