"""The decoder: a Qwen3 block with switches, everything fused that can be.

Notable features: one matrix product for queries, keys and values and one for gate and up; grouped queries through
scaled_dot_product_attention; norms and rotary positions in float32; the loss never holds the full table of logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from engine.errors import ModelError
from engine.model.architecture import Architecture, RopeScaling
from engine.model.cache import KeyValueCache
from engine.model.causal_attention import causal_attention
from engine.model.cross_entropy import weighted_cross_entropy

EMBEDDING_STD = 0.02
"""Standard deviation of fresh embeddings, and of the residual writers before 1/sqrt(2 layers) (GPT-2)."""

QK_NORM_INIT = 1.2
"""Start of the query and key norm weights: slightly sharper attention (nanochat)."""

_FIRST_POSITIONS = 4096
"""Positions whose angles are tabled at once; more are added when a sequence needs them."""


class Norm(nn.Module):
    """RMSNorm over the last dimension, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., width] of the same dtype."""
        return functional.rms_norm(x.float(), x.shape[-1:], self.weight.float(), self.eps).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with grouped queries; queries and keys are normalised per head, then rotated."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads = architecture.heads
        self.kv_heads = architecture.kv_heads
        self.head_dim = architecture.head_dim
        self.eps = architecture.rms_norm_eps
        self.rotary = layer not in architecture.nope_layers
        width = architecture.query_width + 2 * architecture.kv_width
        self.qkv = nn.Linear(architecture.dim, width, bias=architecture.qkv_bias)
        self.q_norm = Norm(self.head_dim, self.eps) if architecture.qk_norm else None
        self.k_norm = Norm(self.head_dim, self.eps) if architecture.qk_norm else None
        self.out = nn.Linear(architecture.query_width, architecture.dim, bias=False)

    def forward(self, x: Tensor, positions: Positions, cache: KeyValueCache | None) -> Tensor:
        """[B, T, dim] to [B, T, dim]."""
        batch, length, _ = x.shape
        qkv: Tensor = self.qkv(x)
        heads = qkv.view(batch, length, -1, self.head_dim)
        rotated, values = torch.split_with_sizes(heads, [self.heads + self.kv_heads, self.kv_heads], 2)
        rotated = self._positioned(rotated, positions).to(qkv.dtype).transpose(1, 2)
        queries, keys = torch.split_with_sizes(rotated, [self.heads, self.kv_heads], 1)
        values = values.transpose(1, 2)
        if cache is not None:
            keys, values = cache.extend(self.layer, keys.to(cache.keys.dtype), values.to(cache.values.dtype))
            queries = queries.to(keys.dtype)
        mixed = grouped_attention(queries, keys, values, positions.mask, positions.causal)
        mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        attended: Tensor = self.out(mixed.to(x.dtype))
        return attended

    def _positioned(self, heads: Tensor, positions: Positions) -> Tensor:
        """Normalise and rotate query and key heads together, [B, T, H + KV, head_dim]."""
        if self.q_norm is not None and self.k_norm is not None:
            weight = torch.cat(
                [self.q_norm.weight.expand(self.heads, -1), self.k_norm.weight.expand(self.kv_heads, -1)]
            )
            heads = functional.rms_norm(heads.float(), heads.shape[-1:], None, self.eps) * weight.float()
        if self.rotary:
            heads = rotate(heads.float(), positions.cosine, positions.sine)
        return heads


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.gate_up = nn.Linear(architecture.dim, 2 * architecture.ffn, bias=False)
        self.down = nn.Linear(architecture.ffn, architecture.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] to [B, T, dim]."""
        gate, up = self.gate_up(x).chunk(2, -1)
        written: Tensor = self.down(functional.silu(gate) * up)
        return written


class Block(nn.Module):
    """Attention, then feed-forward, each behind its norm and added to the residual stream."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        self.attention_norm = Norm(architecture.dim, architecture.rms_norm_eps)
        self.attention = Attention(architecture, layer)
        self.feed_forward_norm = Norm(architecture.dim, architecture.rms_norm_eps)
        self.feed_forward = FeedForward(architecture)

    def forward(self, x: Tensor, positions: Positions, cache: KeyValueCache | None) -> Tensor:
        """[B, T, dim] to [B, T, dim]."""
        x = x + self.attention(self.attention_norm(x), positions, cache)
        written: Tensor = self.feed_forward(self.feed_forward_norm(x))
        return x + written


class Positions:
    """What attention needs to know about where its tokens are; the same for every block."""

    __slots__ = ("causal", "cosine", "mask", "sine")

    def __init__(self, cosine: Tensor, sine: Tensor, mask: Tensor | None, causal: bool) -> None:
        self.cosine = cosine
        """[T, head_dim], or [B, T, 1, head_dim] when rows differ."""
        self.sine = sine
        """As `cosine`, negative in the first half."""
        self.mask = mask
        """[T, S] or [B, 1, T, S] bool, True where attention may look; None when `causal` or nothing says it all."""
        self.causal = causal
        """Whether token i may look at tokens 0 to i, of equally many."""


Through = Callable[[Block, Tensor, Positions, KeyValueCache | None], Tensor]
"""What calls a block: the same for each of them, so that it is compiled once."""


class Decoder(nn.Module):
    """A decoder-only transformer over token ids."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, architecture: Architecture) -> None:
        """Allocate; call `init_weights` or load weights before use."""
        super().__init__()
        self.architecture = architecture
        self.activation_checkpointing = False
        """Recompute each block in the backward pass: about a third more time, a fraction of the memory."""
        self.embed = nn.Embedding(architecture.vocabulary, architecture.dim)
        self.blocks = nn.ModuleList(Block(architecture, layer) for layer in range(architecture.layers))
        self.norm = Norm(architecture.dim, architecture.rms_norm_eps)
        self.head = None if architecture.tied else nn.Linear(architecture.dim, architecture.vocabulary, bias=False)
        cosine, sine = rotary_tables(architecture, min(architecture.context, _FIRST_POSITIONS), "cpu")
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator) -> None:
        """Fresh weights, a function of the generator's seed alone.

        Embeddings are N(0, 0.02), readers (q, k, v, gate, up) uniform with standard deviation 1/sqrt(dim), writers
        (o, down) N(0, 0.02 / sqrt(2 layers)), query and key norms 1.2, other norms 1, biases 0.
        """
        bound = math.sqrt(3 / self.architecture.dim)
        writer_std = EMBEDDING_STD / math.sqrt(2 * self.architecture.layers)
        nn.init.normal_(self.embed.weight, std=EMBEDDING_STD, generator=generator)
        for block in self.blocks:
            assert isinstance(block, Block)
            for reader in (block.attention.qkv, block.feed_forward.gate_up):
                nn.init.uniform_(reader.weight, -bound, bound, generator=generator)
            for writer in (block.attention.out, block.feed_forward.down):
                nn.init.normal_(writer.weight, std=writer_std, generator=generator)
            if block.attention.qkv.bias is not None:
                nn.init.zeros_(block.attention.qkv.bias)
            for norm in (block.attention.q_norm, block.attention.k_norm):
                if norm is not None:
                    nn.init.constant_(norm.weight, QK_NORM_INIT)
            nn.init.ones_(block.attention_norm.weight)
            nn.init.ones_(block.feed_forward_norm.weight)
        nn.init.ones_(self.norm.weight)
        if self.head is not None:
            nn.init.normal_(self.head.weight, std=EMBEDDING_STD, generator=generator)

    @property
    def head_weight(self) -> Tensor:
        """The output matrix, [V, dim]: the embedding when tied."""
        return self.embed.weight if self.head is None else self.head.weight

    def forward(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Logits of the token after each position.

        Args:
            ids: [B, T] int64.
            cache: what was read before; the new tokens are added to it.

        Returns:
            [B, T, V] float32.

        Raises:
            ModelError: more tokens than the context, or than the cache has room for.
        """
        return functional.linear(self.hidden(ids, cache), self.head_weight).float()

    def hidden(self, ids: Tensor, cache: KeyValueCache | None = None, through: Through | None = None) -> Tensor:
        """Final normalised states, [B, T] to [B, T, dim]; arguments and errors as in `forward` and `loss`."""
        positions = self._positions(ids.shape[1], cache)
        x: Tensor = self.embed(ids)
        recompute = self.activation_checkpointing and cache is None and torch.is_grad_enabled()
        for block in self.blocks:
            assert isinstance(block, Block)
            call = block if through is None else partial(through, block)
            x = checkpoint(call, x, positions, None, use_reentrant=False) if recompute else call(x, positions, cache)
        if cache is not None:
            cache.length += ids.shape[1]
        normed: Tensor = self.norm(x)
        return normed

    def loss(self, ids: Tensor, targets: Tensor, weights: Tensor, through: Through | None = None) -> Tensor:
        """Sum over tokens of weight x nats.

        Sums of several micro-batches, divided by the sum of all their weights, are the mean over their tokens: how a
        batch is cut into micro-batches makes no difference.

        Args:
            ids: [B, T] int64.
            targets: [B, T] int64: the token that follows each of `ids`; any id where the weight is 0.
            weights: [B, T] float: 0 leaves a position out of loss and gradient.
            through: what calls each block, where they are not simply called.

        Returns:
            A float32 scalar.
        """
        hidden = self.hidden(ids, through=through)
        return weighted_cross_entropy(hidden.flatten(0, 1), self.head_weight, targets.flatten(), weights.flatten())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As `nn.Module`, but the angles stay float32 and are right even after a move from the meta device."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._table_positions(self.cosine.shape[0])
        return self

    def _table_positions(self, length: int) -> None:
        self.cosine, self.sine = rotary_tables(self.architecture, length, self.embed.weight.device)

    def _positions(self, length: int, cache: KeyValueCache | None) -> Positions:
        start = 0 if cache is None else cache.length
        end = start + length
        longest = end if cache is None else end - cache.first
        if longest > self.architecture.context:
            raise ModelError(f"{longest} tokens do not fit the model's context of {self.architecture.context}.")
        if cache is not None and end > cache.capacity:
            raise ModelError(f"{end} tokens do not fit the cache of {cache.capacity}.")
        if longest > self.cosine.shape[0]:
            self._table_positions(max(longest, min(2 * self.cosine.shape[0], self.architecture.context)))
        if cache is None or (start == 0 and cache.starts is None):
            return Positions(self.cosine[:length], self.sine[:length], None, causal=True)
        columns = torch.arange(start, end, device=self.cosine.device)
        if cache.starts is None:
            mask = None if length == 1 else columns.unsqueeze(1) >= torch.arange(end, device=columns.device)
            return Positions(self.cosine[start:end], self.sine[start:end], mask, causal=False)
        own = (columns - cache.starts.unsqueeze(1)).clamp_min(0)
        seen = torch.arange(end, device=columns.device)
        mask = (seen <= columns.unsqueeze(1)) & (seen >= cache.starts.view(-1, 1, 1))
        mask = mask | (seen == columns.unsqueeze(1))  # a padding row looks at itself: an empty softmax is not a number
        return Positions(self.cosine[own].unsqueeze(2), self.sine[own].unsqueeze(2), mask.unsqueeze(1), causal=False)


def grouped_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention in which each key/value head serves several query heads.

    Args:
        queries: [B, H, T, head_dim].
        keys: [B, KV, S, head_dim].
        values: [B, KV, S, head_dim].
        mask: bool, broadcast to [B, H, T, S], True where attention may look.
        causal: the mask is the lower triangle of T = S.

    Returns:
        [B, H, T, head_dim].
    """
    if causal and queries.device.type == "cpu" and queries.dtype is torch.bfloat16:
        return causal_attention(queries, keys, values)
    share = queries.shape[1] // keys.shape[1]
    # Kernels that read shared heads in place: CPU, and CUDA flash attention. CUDA's float32 kernels do not.
    in_place = queries.device.type == "cpu" or queries.dtype is not torch.float32
    if share > 1 and not in_place:
        keys, values = keys.repeat_interleave(share, 1), values.repeat_interleave(share, 1)
    return functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=share > 1 and in_place
    )


def rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions in the half-split layout of Hugging Face.

    Args:
        heads: [B, T, H, head_dim].
        cosine: [T, head_dim] or [B, T, 1, head_dim].
        sine: as `cosine`.

    Returns:
        [B, T, H, head_dim].
    """
    if cosine.dim() == 2:
        cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
    return torch.addcmul(heads * cosine, heads.roll(heads.shape[-1] // 2, -1), sine)


def rotary_tables(architecture: Architecture, length: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """The angles of positions 0 to `length` for `rotate` (RoFormer; Llama 3 scaling).

    Returns:
        Cosines, and sines with the sign that their half of a head takes; each [length, head_dim] float32.
    """
    pairs = torch.arange(0, architecture.head_dim, 2, device=device, dtype=torch.float32) / architecture.head_dim
    frequencies = 1.0 / architecture.rope_theta**pairs
    if architecture.rope_scaling is not None:
        frequencies = _stretched(frequencies, architecture.rope_scaling)
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), frequencies)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)


def _stretched(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    wavelengths = 2 * math.pi / frequencies
    low = scaling.original_context / scaling.low_frequency_factor
    high = scaling.original_context / scaling.high_frequency_factor
    share = (scaling.original_context / wavelengths - scaling.low_frequency_factor) / (
        scaling.high_frequency_factor - scaling.low_frequency_factor
    )
    blended = (1 - share) * frequencies / scaling.factor + share * frequencies
    stretched = torch.where(wavelengths > low, frequencies / scaling.factor, blended)
    return torch.where(wavelengths < high, frequencies, stretched)
