"""The ladder of model sizes: dimensions, exact parameter counts, and the rules that keep every size growable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from engine.errors import UsageError

HEAD_DIM = 64
"""Width of one attention head at every size: constant, so RoPE angles and 1/sqrt(head_dim) survive growth."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The shape of a decoder without its vocabulary."""

    layers: Annotated[int, Meta(ge=1, le=256)]
    """Number of transformer blocks."""
    dim: Annotated[int, Meta(ge=1, le=65536)]
    """Width of the residual stream."""
    heads: Annotated[int, Meta(ge=1, le=1024)]
    """Number of query heads, each HEAD_DIM wide."""
    kv_heads: Annotated[int, Meta(ge=1, le=1024)]
    """Number of key/value heads; divides `heads`."""
    ffn: Annotated[int, Meta(ge=1, le=1048576)]
    """Width of the SwiGLU feed-forward layer."""

    def parameters(self, vocabulary: int) -> int:
        """Exact number of weights with a tied embedding of `vocabulary` tokens; equals `sum(p.numel())`."""
        return vocabulary * self.dim + self.non_embedding_parameters()

    def non_embedding_parameters(self) -> int:
        """Weights of the blocks and the final norm."""
        attention = self.dim * HEAD_DIM * (2 * self.heads + 2 * self.kv_heads) + 2 * HEAD_DIM
        feed_forward = 3 * self.dim * self.ffn
        norms = 2 * self.dim
        return self.layers * (attention + feed_forward + norms) + self.dim

    def flops_per_token(self, vocabulary: int, context: float) -> float:
        """Floating point operations of one forward and backward pass, per token (6 per weight plus attention)."""
        matmul = self.layers * (self.dim * HEAD_DIM * (2 * self.heads + 2 * self.kv_heads) + 3 * self.dim * self.ffn)
        matmul += vocabulary * self.dim
        attention = self.layers * 2 * self.heads * HEAD_DIM * context / 2  # causal: half of the score matrix
        return 6 * (matmul + attention)

    def grows_to(self, larger: Dimensions) -> bool:
        """Whether `larger` can be reached exactly: nothing shrinks, nor does the number of queries per key."""
        return (
            larger.layers >= self.layers
            and larger.dim >= self.dim
            and larger.heads >= self.heads
            and larger.kv_heads >= self.kv_heads
            and larger.ffn >= self.ffn
            and larger.heads // larger.kv_heads >= self.heads // self.kv_heads
            and larger != self
        )


@dataclass(frozen=True, slots=True)
class Size:
    """A rung of the ladder with the training guide's advice for it."""

    name: str
    dimensions: Dimensions
    guide_epochs: tuple[int, int]
    """Epochs the guide recommends, from and to."""
    guide_lines: tuple[int, int | None]
    """Lines of data the guide recommends; None means "or more"."""
    guide_use: str
    """What the guide recommends the size for."""


def _size(name: str, layers: int, dim: int, epochs: tuple[int, int], lines: tuple[int, int | None], use: str) -> Size:
    dims = Dimensions(layers=layers, dim=dim, heads=dim // 64, kv_heads=max(1, dim // 128), ffn=3 * dim)
    return Size(name=name, dimensions=dims, guide_epochs=epochs, guide_lines=lines, guide_use=use)


LADDER: tuple[Size, ...] = (
    _size("nano", 4, 128, (50, 100), (500, 1000), "testing, embedded devices"),
    _size("micro", 4, 256, (50, 100), (500, 1000), "testing, embedded devices"),
    _size("tiny", 6, 256, (30, 50), (1000, 2000), "Raspberry Pi, quick experiments"),
    _size("mini", 8, 256, (30, 50), (1000, 2000), "Raspberry Pi, quick experiments"),
    _size("small", 8, 512, (30, 50), (2000, 5000), "desktop, good balance"),
    _size("medium", 12, 768, (30, 40), (5000, 10000), "mid-range GPU, quality results"),
    _size("large", 16, 1024, (20, 30), (10000, None), "high-end GPU, production quality"),
    _size("xl", 20, 1536, (20, 30), (10000, None), "high-end GPU, production quality"),
    _size("xxl", 22, 2048, (20, 30), (10000, None), "high-end GPU, production quality"),
)

SIZES: dict[str, Size] = {size.name: size for size in LADDER}


def size_named(name: str) -> Size:
    """The rung called `name`.

    Raises:
        UsageError: there is no such rung; the message names the nearest.
    """
    if name in SIZES:
        return SIZES[name]
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), SIZES, n=1)
    hint = f'Did you mean "{near[0]}"? ' if near else ""
    raise UsageError(f'There is no size "{name[:40]}".', fix=f"{hint}Sizes: {', '.join(SIZES)}.")


def name_of(dims: Dimensions) -> str:
    """The ladder's name for these dimensions, or "custom"."""
    return next((size.name for size in LADDER if size.dimensions == dims), "custom")


def dimensions_of(size: str | Dimensions) -> Dimensions:
    """Dimensions of a size given by name or as a table, checked.

    Raises:
        UsageError: no such size, or the dimensions break a rule; the message names the rule.
    """
    if isinstance(size, str):
        return size_named(size).dimensions
    check_dimensions(size)
    return size


def check_dimensions(dims: Dimensions) -> None:
    """Refuse shapes that cannot be built, exported, or grown.

    Raises:
        UsageError: with the rule that is broken.
    """
    for field in ("layers", "dim", "heads", "kv_heads", "ffn"):
        if getattr(dims, field) < 1:
            raise UsageError(f"model.size.{field} must be at least 1, not {getattr(dims, field)}.")
    if dims.heads % dims.kv_heads:
        raise UsageError(
            f"model.size.heads ({dims.heads}) must be a multiple of model.size.kv_heads ({dims.kv_heads}): "
            "every key/value head serves the same number of query heads."
        )
    if dims.dim % 32:
        raise UsageError(
            f"model.size.dim ({dims.dim}) must be a multiple of 32: GGUF's q8_0 blocks hold 32 weights.",
            fix=f"Try {max(32, round(dims.dim / 32) * 32)}.",
        )
    if dims.ffn % 32:
        raise UsageError(
            f"model.size.ffn ({dims.ffn}) must be a multiple of 32: GGUF's q8_0 blocks hold 32 weights.",
            fix=f"Try {max(32, round(dims.ffn / 32) * 32)}.",
        )
