"""What transformers makes of a model folder, with no conversion and no code of ours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.model.architecture import Architecture, RopeScaling
from engine.model.folder import load_decoder
from engine.model.generate import Prompt, generate
from engine.model.names import from_hf
from engine.model.sampling import SamplingSettings
from engine.model.transformer import Decoder
from engine.sizes import Dimensions
from engine.text.chat_template import render
from engine.text.conversation import Turn
from engine.text.tokenizer import Tokenizer
from tests.engine.model.conftest import lively

transformers: Any = pytest.importorskip("transformers")

FOREIGN = Architecture.of(Dimensions(layers=4, dim=64, heads=4, kv_heads=2, ffn=96), 200, 64)
FAMILIES: dict[str, Architecture] = {
    "qwen3": FOREIGN,
    "qwen2": replace(FOREIGN, qk_norm=False, qkv_bias=True, head_dim=16, rope_theta=1e6),
    "llama": replace(FOREIGN, qk_norm=False, tied=False, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 32)),
    "smollm3": replace(FOREIGN, qk_norm=False, head_dim=16, nope_layers=(3,), rope_theta=2e6),
}


@pytest.fixture
def folder(make_model: Callable[..., Path]) -> Path:
    return make_model("sample")


def test_transformers_opens_the_folder_as_it_is(folder: Path, tokenizer: Tokenizer) -> None:
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    assert model.dtype is torch.float32
    decoder, architecture = load_decoder(folder)
    ids = torch.randint(0, architecture.vocabulary, (3, 90), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, decoder(ids), rtol=0, atol=1e-4)


def test_greedy_generation_is_token_identical(folder: Path, tokenizer: Tokenizer) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    decoder, _ = load_decoder(folder)
    for penalty in (1.0, 1.3):
        settings = SamplingSettings(temperature=0.0, repetition_penalty=penalty, max_tokens=40)
        for text in ("What is Python?", "The", "Äpfel 🍎"):
            ids = tokenizer.encode(text)
            ours = generate(decoder, tokenizer, Prompt(ids), settings, stop_ids=(0, 2))
            theirs = model.generate(
                torch.tensor([ids]), do_sample=False, repetition_penalty=penalty, max_new_tokens=40, eos_token_id=[0, 2]
            )
            found = theirs[0, len(ids) :].tolist()
            assert [token for token in found if token not in (0, 2)] == list(ours.tokens)


def test_the_tokenizer_gives_the_same_ids_and_the_same_chat(folder: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == tokenizer.vocabulary
    for text in ("What is Python?", "  a\n\n\tb \r\n", "naïve 日本 🍎 e\u0301", "don't 'LL 12345", "x" * 500, ""):
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    turns = [
        Turn("system", "Be brief."),
        Turn("user", "What is\nPython?"),
        Turn("assistant", "A language."),
        Turn("user", "Oh"),
    ]
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    for prompt in (True, False):
        rendered = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        assert rendered == render(turns, answer_prompt=prompt)
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == tokenizer.encode_turns(turns, answer_prompt=True).ids


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_computes_what_transformers_computes(family: str) -> None:
    architecture = FAMILIES[family]
    decoder = lively(architecture)
    config = transformers.AutoConfig.for_model(**architecture.to_config())
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    state = copy.copy(theirs.state_dict())
    if architecture.tied:
        state.pop("lm_head.weight", None)
    generator = torch.Generator().manual_seed(3)
    for name, value in state.items():
        if "norm" in name or name.endswith("bias"):
            value.add_(0.3 * torch.randn(value.shape, generator=generator))
    theirs.load_state_dict(state, strict=False)
    theirs.tie_weights()
    decoder.load_state_dict(from_hf(state, architecture))
    ids = torch.randint(0, architecture.vocabulary, (2, 60), generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, decoder(ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_configs_that_transformers_writes_are_understood(family: str, tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(**FAMILIES[family].to_config())
    assert Architecture.from_config(config.to_dict()) == FAMILIES[family]


def test_a_folder_that_transformers_saved_is_read(folder: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(tmp_path / "saved", max_shard_size="100KB")
    assert (tmp_path / "saved" / "model.safetensors.index.json").exists()
    again, original = load_decoder(tmp_path / "saved")[0], load_decoder(folder)[0]
    assert isinstance(again, Decoder)
    for name, value in original.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
