from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.errors import ModelError
from engine.model.architecture import Architecture
from engine.model.names import check_hf_shapes, from_hf, hf_shapes, to_hf, weights_of
from engine.model.transformer import Decoder
from engine.sizes import Dimensions
from tests.engine.model.conftest import lively

QWEN3 = Architecture.of(Dimensions(layers=2, dim=64, heads=4, kv_heads=2, ffn=96), 100, 64)
QWEN2 = replace(QWEN3, qk_norm=False, qkv_bias=True, tied=False)


@pytest.mark.parametrize("architecture", [QWEN3, QWEN2], ids=["qwen3", "qwen2"])
def test_split_and_fused_again_is_the_same(architecture: Architecture) -> None:
    state = lively(architecture).state_dict()
    split = to_hf(state, architecture)
    assert {name: tuple(tensor.shape) for name, tensor in split.items()} == hf_shapes(architecture)
    fused = from_hf(split, architecture)
    assert fused.keys() == state.keys()
    assert all(torch.equal(fused[name], state[name]) for name in state)


def test_list_of_weights_is_the_decoders_own() -> None:
    state = Decoder(QWEN2).state_dict()
    assert [(weight.name, weight.shape) for weight in weights_of(QWEN2)] == [
        (name, tuple(tensor.shape)) for name, tensor in state.items()
    ]


def test_rows_are_queries_then_keys_then_values() -> None:
    state = lively(QWEN3).state_dict()
    split = to_hf(state, QWEN3)
    qkv = state["blocks.1.attention.qkv.weight"]
    assert torch.equal(split["model.layers.1.self_attn.k_proj.weight"], qkv[256 : 256 + 128])
    gate_up = state["blocks.1.feed_forward.gate_up.weight"]
    assert torch.equal(split["model.layers.1.mlp.up_proj.weight"], gate_up[96:])


def test_missing_spare_and_misshapen_weights_are_refused() -> None:
    split = to_hf(lively(QWEN3).state_dict(), QWEN3)
    with pytest.raises(ModelError, match=r"lack model\.norm\.weight"):
        from_hf({name: tensor for name, tensor in split.items() if name != "model.norm.weight"}, QWEN3)
    with pytest.raises(ModelError, match="hold extra"):
        from_hf(split | {"extra\x1b[31m": torch.zeros(1)}, QWEN3)
    with pytest.raises(ModelError, match="is 3, but config"):
        from_hf(split | {"model.norm.weight": torch.zeros(3)}, QWEN3)
    with pytest.raises(ModelError, match="and 10 more"):
        from_hf({k: v for k, v in split.items() if "layers.1." not in k}, QWEN3)
    state = lively(QWEN3).state_dict()
    with pytest.raises(ModelError, match="decoder's weights lack"):
        to_hf({name: tensor for name, tensor in state.items() if name != "norm.weight"}, QWEN3)
    with pytest.raises(ModelError, match="architecture does not know"):
        to_hf(state | {"more": torch.zeros(1)}, QWEN3)
    with pytest.raises(ModelError, match="architecture says"):
        to_hf(state | {"norm.weight": torch.zeros(2)}, QWEN3)


def test_a_tied_model_may_repeat_its_head() -> None:
    shapes = hf_shapes(QWEN3) | {"lm_head.weight": (100, 64), "model.layers.0.self_attn.rotary_emb.inv_freq": (32,)}
    check_hf_shapes(shapes, QWEN3)
    with pytest.raises(ModelError):
        check_hf_shapes(shapes | {"lm_head.bias": (100,)}, QWEN3)
