"""Exact growth: a larger decoder that computes what the smaller one computed.

Width, by closed gates: everything that writes into the new channels, heads and feed-forward units starts at zero,
everything that reads them starts random; so the function is unchanged, and the first step already moves the writers.
The zeros dilute the mean square that RMSNorm divides by, by the factor d/d', so norm weights are multiplied by
sqrt(d/d') and eps by d/d'. Any ratio works, with tied embeddings too (Gesmundo & Maile 2023, for RMSNorm; LEMON 2023).

Depth, by identity blocks: a copy of the block below with silent writers (LLaMA Pro 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from engine.errors import ModelError, UsageError
from engine.model.architecture import Architecture
from engine.model.names import from_hf, to_hf
from engine.model.transformer import EMBEDDING_STD, Decoder
from engine.sizes import Dimensions, check_dimensions

EXACT = 1e-5
"""Largest relative difference of logits that counts as rounding in float32."""

_PROOF_ROWS = 4
_PROOF_LENGTH = 64


@dataclass(frozen=True, slots=True)
class GrowthProof:
    """What was measured: the same tokens through the decoder before and after."""

    max_abs: float
    """Largest difference of two logits."""
    max_relative: float
    """That, as a share of the largest logit."""
    tokens: int
    """Tokens compared."""

    @property
    def exact(self) -> bool:
        """Whether the difference is rounding in float32."""
        return self.max_relative < EXACT


def check_growth(architecture: Architecture, target: Dimensions) -> None:
    """Refuse a target that cannot be reached exactly.

    Raises:
        UsageError: with the rule that it breaks.
    """
    check_dimensions(target)
    current = architecture.dimensions
    for field in fields(Dimensions):
        have, want = getattr(current, field.name), getattr(target, field.name)
        if want < have:
            raise UsageError(
                f"A model cannot shrink: {field.name} is {have}, the target has {want}.",
                fix="Grow to a size that is at least as large in every dimension.",
            )
    have, want = current.heads // current.kv_heads, target.heads // target.kv_heads
    if want < have:
        raise UsageError(
            f"Query heads per key/value head cannot shrink: {have} now, {want} in the target.",
            fix=f"Use at most {target.heads // have} key/value heads.",
        )
    if target == current:
        raise UsageError("The model already has this size.", fix="Grow to a larger one.")


@torch.no_grad()
def grow(
    decoder: Decoder,
    architecture: Architecture,
    target: Dimensions,
    generator: torch.Generator,
    ids: Tensor | None = None,
) -> tuple[Decoder, Architecture, GrowthProof]:
    """A decoder of the target's dimensions with the same function; vocabulary and context stay.

    Args:
        decoder: stays as it is.
        architecture: its shape.
        target: at least as large in every dimension.
        generator: on the CPU; draws the new readers.
        ids: [B, T] tokens to compare on; random ones when None.

    Raises:
        UsageError: the target is smaller somewhere; with the rule.
        ModelError: the grown decoder gives no numbers.
    """
    check_growth(architecture, target)
    final = grown_architecture(architecture, target)
    state = {name: tensor.detach() for name, tensor in to_hf(decoder.state_dict(), architecture).items()}
    wide = replace(final, layers=architecture.layers, nope_layers=architecture.nope_layers)
    if wide != architecture:
        state = _Widening(architecture, wide, generator).apply(state)
    sources = spread(architecture.layers, target.layers)
    with torch.device("meta"):
        grown = Decoder(final)
    grown.load_state_dict(from_hf(_deepened(state, sources), final), strict=True, assign=True)
    grown.to(decoder.embed.weight.device)
    grown.activation_checkpointing = decoder.activation_checkpointing
    return grown, final, compare(decoder, grown, _proof_ids(decoder, generator) if ids is None else ids)


def grown_architecture(architecture: Architecture, target: Dimensions) -> Architecture:
    """The shape that `grow` leads to; vocabulary and context stay, the norms' epsilon follows the width."""
    return replace(
        architecture,
        layers=target.layers,
        dim=target.dim,
        heads=target.heads,
        kv_heads=target.kv_heads,
        ffn=target.ffn,
        rms_norm_eps=architecture.rms_norm_eps * architecture.dim / target.dim,
        nope_layers=tuple(
            at
            for at, (source, _) in enumerate(spread(architecture.layers, target.layers))
            if source in architecture.nope_layers
        ),
    )


def spread(layers: int, target: int) -> list[tuple[int, bool]]:
    """Which old block each new one is made from, and whether it is a silent copy; copies are spread evenly."""
    extra = target - layers
    order = []
    for layer in range(layers):
        copies = (layer + 1) * extra // layers - layer * extra // layers
        order += [(layer, False)] + [(layer, True)] * copies
    return order


@torch.no_grad()
def compare(before: Decoder, after: Decoder, ids: Tensor) -> GrowthProof:
    """The logits of both for the same tokens.

    Raises:
        ModelError: a logit is not a number.
    """
    ids = ids.to(before.embed.weight.device)
    old, new = before(ids), after(ids)
    difference, largest = float((new - old).abs().max()), float(old.abs().max())
    if not math.isfinite(difference) or not math.isfinite(largest):
        raise ModelError("The model's weights give no numbers, so it cannot be grown.")
    return GrowthProof(difference, difference / max(largest, 1e-30), ids.numel())


def _proof_ids(decoder: Decoder, generator: torch.Generator) -> Tensor:
    shape = (_PROOF_ROWS, min(_PROOF_LENGTH, decoder.architecture.context))
    return torch.randint(0, decoder.architecture.vocabulary, shape, generator=generator)


class _Widening:
    """Takes tensors of one width to another, name by name."""

    def __init__(self, old: Architecture, new: Architecture, generator: torch.Generator) -> None:
        self.old = old
        self.new = new
        self.generator = generator
        self.norm_scale = math.sqrt(old.dim / new.dim)
        # An old query head keeps its key/value head: head i moves to place i % share in the wider group i // share.
        share, new_share = old.heads // old.kv_heads, new.heads // new.kv_heads
        heads = torch.arange(old.heads)
        slots = heads // share * new_share + heads % share
        self.query_rows = (slots.unsqueeze(1) * old.head_dim + torch.arange(old.head_dim)).flatten()
        self.kv_rows = torch.arange(old.kv_width)
        self.ffn_rows = torch.arange(old.ffn)

    def apply(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every tensor of a decoder under Hugging Face's names."""
        return {name: self._widen(name.split(".")[-2:], tensor) for name, tensor in state.items()}

    def _widen(self, name: list[str], old: Tensor) -> Tensor:
        module, kind = name
        new = self.new
        readers = {
            "q_proj": (self.query_rows, new.query_width),
            "k_proj": (self.kv_rows, new.kv_width),
            "v_proj": (self.kv_rows, new.kv_width),
            "gate_proj": (self.ffn_rows, new.ffn),
            "up_proj": (self.ffn_rows, new.ffn),
        }
        if module in readers:
            rows, count = readers[module]
            return self._bias(old, rows, count) if kind == "bias" else self._reader(old, rows, count)
        if module == "o_proj":
            return self._writer(old, self.query_rows, new.query_width)
        if module == "down_proj":
            return self._writer(old, self.ffn_rows, new.ffn)
        if module == "embed_tokens":
            return self._writer(old.t(), torch.arange(old.shape[0]), old.shape[0]).t().contiguous()
        if module == "lm_head":
            grown = torch.empty(old.shape[0], new.dim).normal_(std=EMBEDDING_STD, generator=self.generator).to(old)
            grown[:, : old.shape[1]] = old
            return grown
        if module in ("q_norm", "k_norm"):
            return old.clone()
        norm = old.new_ones(new.dim)
        norm[: old.shape[0]] = old
        return norm * self.norm_scale

    def _reader(self, old: Tensor, rows: Tensor, count: int) -> Tensor:
        bound = math.sqrt(3 / self.new.dim)
        grown = torch.empty(count, self.new.dim).uniform_(-bound, bound, generator=self.generator).to(old)
        grown[rows.to(old.device), : old.shape[1]] = old
        return grown

    def _writer(self, old: Tensor, columns: Tensor, count: int) -> Tensor:
        grown = old.new_zeros(self.new.dim, count)
        grown[: old.shape[0], columns.to(old.device)] = old
        return grown

    def _bias(self, old: Tensor, rows: Tensor, count: int) -> Tensor:
        grown = old.new_zeros(count)
        grown[rows.to(old.device)] = old
        return grown


def _deepened(state: dict[str, Tensor], sources: list[tuple[int, bool]]) -> dict[str, Tensor]:
    prefix = "model.layers."
    deep = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    for at, (source, silent) in enumerate(sources):
        start = f"{prefix}{source}."
        for name, tensor in state.items():
            if name.startswith(start):
                writer = name.endswith(("o_proj.weight", "down_proj.weight"))
                copy = torch.zeros_like(tensor) if silent and writer else tensor.clone()
                deep[f"{prefix}{at}.{name.removeprefix(start)}"] = copy
    return deep
