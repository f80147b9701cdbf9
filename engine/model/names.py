"""Names and shapes of weights: ours in memory (fused) and Hugging Face's on disk (apart).

| in memory                          | on disk (under `model.layers.N.`)                                  |
|------------------------------------|--------------------------------------------------------------------|
| blocks.N.attention.qkv             | self_attn.q_proj, self_attn.k_proj, self_attn.v_proj (stacked rows) |
| blocks.N.attention.out             | self_attn.o_proj                                                   |
| blocks.N.attention.q_norm, .k_norm | self_attn.q_norm, self_attn.k_norm                                 |
| blocks.N.feed_forward.gate_up      | mlp.gate_proj, mlp.up_proj (stacked rows)                          |
| blocks.N.feed_forward.down         | mlp.down_proj                                                      |
| blocks.N.attention_norm            | input_layernorm                                                    |
| blocks.N.feed_forward_norm         | post_attention_layernorm                                           |
| embed, norm, head                  | model.embed_tokens, model.norm, lm_head (only when not tied)       |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.model.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor in memory and what it is made of on disk."""

    name: str
    """In the decoder's state dict."""
    shape: Shape
    """In memory."""
    parts: tuple[tuple[str, Shape], ...]
    """Names and shapes on disk, in the order in which their rows are stacked."""


def weights_of(architecture: Architecture) -> list[Weight]:
    """Every tensor of a decoder, in the order of its state dict."""
    dim, ffn, query, kv = architecture.dim, architecture.ffn, architecture.query_width, architecture.kv_width
    table = (architecture.vocabulary, dim)
    weights = [Weight("embed.weight", table, (("model.embed_tokens.weight", table),))]
    for layer in range(architecture.layers):
        ours, theirs = f"blocks.{layer}.", f"model.layers.{layer}."

        def one(name: str, part: str, shape: Shape, ours: str = ours, theirs: str = theirs) -> Weight:
            return Weight(ours + name, shape, ((theirs + part, shape),))

        def stacked(
            name: str, parts: Iterable[tuple[str, int]], tail: Shape, ours: str = ours, theirs: str = theirs
        ) -> Weight:
            named = tuple((theirs + part, (rows, *tail)) for part, rows in parts)
            return Weight(ours + name, (sum(shape[0] for _, shape in named), *tail), named)

        def qkv(kind: str) -> list[tuple[str, int]]:
            return [(f"self_attn.{p}_proj.{kind}", rows) for p, rows in (("q", query), ("k", kv), ("v", kv))]

        weights.append(one("attention_norm.weight", "input_layernorm.weight", (dim,)))
        weights.append(stacked("attention.qkv.weight", qkv("weight"), (dim,)))
        if architecture.qkv_bias:
            weights.append(stacked("attention.qkv.bias", qkv("bias"), ()))
        if architecture.qk_norm:
            for norm in ("q_norm", "k_norm"):
                name = f"{norm}.weight"
                weights.append(one(f"attention.{name}", f"self_attn.{name}", (architecture.head_dim,)))
        weights.append(one("attention.out.weight", "self_attn.o_proj.weight", (dim, query)))
        weights.append(one("feed_forward_norm.weight", "post_attention_layernorm.weight", (dim,)))
        gate_up = [("mlp.gate_proj.weight", ffn), ("mlp.up_proj.weight", ffn)]
        weights.append(stacked("feed_forward.gate_up.weight", gate_up, (dim,)))
        weights.append(one("feed_forward.down.weight", "mlp.down_proj.weight", (dim, ffn)))
    weights.append(Weight("norm.weight", (dim,), (("model.norm.weight", (dim,)),)))
    if not architecture.tied:
        weights.append(Weight("head.weight", table, (("lm_head.weight", table),)))
    return weights


def hf_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Name to shape of everything that belongs into `model.safetensors`."""
    return {name: shape for weight in weights_of(architecture) for name, shape in weight.parts}


def check_hf_shapes(shapes: Mapping[str, Shape], architecture: Architecture, file: str | None = None) -> None:
    """Refuse weights that are not exactly those of `architecture`.

    A tied model may bring its `lm_head.weight`, and old exporters the rotary frequencies; both say nothing new.

    Args:
        shapes: name to shape, as found.
        architecture: from the config beside them.
        file: path of the weights, for the message.

    Raises:
        ModelError: with the first name or shape that is wrong.
    """
    expected = hf_shapes(architecture)
    missing = [name for name in expected if name not in shapes]
    if missing:
        raise ModelError(f"The weights lack {_listed(missing)}.", file=file, fix="They belong to another config.json.")
    spare = [name for name in shapes if name not in expected and not is_redundant(name, architecture)]
    if spare:
        raise ModelError(
            f"The weights hold {_listed(spare)}, which config.json does not know.",
            file=file,
            fix="They belong to another config.json.",
        )
    for name, shape in expected.items():
        if tuple(shapes[name]) != shape:
            found = "x".join(map(str, shapes[name])) or "a number"
            raise ModelError(
                f"{name} is {found}, but config.json says {'x'.join(map(str, shape))}.",
                file=file,
                fix="They belong to another config.json.",
            )


def is_redundant(name: str, architecture: Architecture) -> bool:
    """Whether a tensor on disk repeats what is known without it."""
    return name.endswith("rotary_emb.inv_freq") or (architecture.tied and name == "lm_head.weight")


def to_hf(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """A decoder's state dict under Hugging Face's names: fused tensors become views of their rows.

    Raises:
        ModelError: a name is missing or too many, or a shape is wrong.
    """
    weights = weights_of(architecture)
    _check_names(state, [weight.name for weight in weights])
    split: dict[str, Tensor] = {}
    for weight in weights:
        tensor = state[weight.name]
        _check_shape(weight.name, tensor, weight.shape)
        start = 0
        for name, shape in weight.parts:
            split[name] = tensor.narrow(0, start, shape[0])
            start += shape[0]
    return split


def from_hf(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Tensors under Hugging Face's names as a decoder's state dict; stacked tensors are copied, single ones shared.

    Raises:
        ModelError: a name is missing or too many, or a shape is wrong.
    """
    import torch

    check_hf_shapes({name: tuple(tensor.shape) for name, tensor in state.items()}, architecture)
    fused: dict[str, Tensor] = {}
    for weight in weights_of(architecture):
        parts = [state[name] for name, _ in weight.parts]
        fused[weight.name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    return fused


def _check_names(state: Mapping[str, Tensor], expected: list[str]) -> None:
    missing = [name for name in expected if name not in state]
    if missing:
        raise ModelError(f"The decoder's weights lack {_listed(missing)}.")
    known = set(expected)
    spare = [name for name in state if name not in known]
    if spare:
        raise ModelError(f"The decoder's weights hold {_listed(spare)}, which the architecture does not know.")


def _check_shape(name: str, tensor: Tensor, shape: Shape) -> None:
    if tuple(tensor.shape) != shape:
        found, wanted = "x".join(map(str, tensor.shape)), "x".join(map(str, shape))
        raise ModelError(f"{name} is {found}, but the architecture says {wanted}.")


def _listed(names: list[str]) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in names[0][:80])
    return shown if len(names) == 1 else f"{shown} and {len(names) - 1} more"
