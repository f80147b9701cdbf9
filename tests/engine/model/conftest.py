"""A tokenizer and decoders small enough for tests, with weights that look trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.model.architecture import Architecture
from engine.model.card import ModelCard
from engine.model.folder import publish, write_model_files
from engine.model.transformer import Decoder
from engine.sizes import Dimensions
from engine.text.tokenizer import Tokenizer

torch.set_num_threads(1)

SMALL = Dimensions(layers=2, dim=64, heads=2, kv_heads=1, ffn=96)

TEXT = """What is Python? Python is a programming language that people read easily.
Who wrote the first program? Ada Lovelace did, in 1843, for a machine that was never built.
    def add(a, b):
        return a + b
Äpfel, naïve café, Ελλάδα, 日本語のテキスト, 🍎🍏 and <tool_call>{"tool": "clock"}</tool_call>.
The quick brown fox jumps over the lazy dog; the dog sleeps on, and the fox runs home through the wood.
"""


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 40, 420)


def lively(architecture: Architecture, seed: int = 7) -> Decoder:
    """A decoder whose norms and embeddings are not those of a fresh one, so that mistakes show."""
    decoder = Decoder(architecture)
    generator = torch.Generator().manual_seed(seed)
    decoder.init_weights(generator)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if "norm" in name:
                parameter.mul_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
            elif name.startswith(("embed", "head")):
                parameter.mul_(8.0)
            elif ".out." in name or ".down." in name:
                parameter.mul_(10.0)
            elif name.endswith("bias"):
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return decoder.eval()


@pytest.fixture(scope="session")
def architecture(tokenizer: Tokenizer) -> Architecture:
    return Architecture.of(SMALL, tokenizer.vocabulary, 96)


@pytest.fixture(scope="session")
def decoder(architecture: Architecture) -> Decoder:
    return lively(architecture)


@pytest.fixture
def make_model(tmp_path: Path, tokenizer: Tokenizer, architecture: Architecture) -> Callable[..., Path]:
    """Publishes a model and returns its folder; keywords change the architecture."""

    def make(name: str = "sample", *, card: ModelCard | None = None, seed: int = 7, **changes: Any) -> Path:
        shape = replace(architecture, **changes)
        built = lively(shape, seed)
        folder = tmp_path / "models" / name
        publish(folder, lambda to: write_model_files(to, built, shape, tokenizer, card or ModelCard(name=name)))
        return folder

    return make
