"""The ladder: exact counts, growable from end to end, and rules that name themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.sizes import LADDER, SIZES, Dimensions, check_dimensions, dimensions_of, name_of, size_named

DESIGN = {
    "nano": (4, 128, 2, 1, 384, "1.31 M"), "micro": (4, 256, 4, 2, 768, "4.20 M"),
    "tiny": (6, 256, 4, 2, 768, "5.77 M"), "mini": (8, 256, 4, 2, 768, "7.35 M"),
    "small": (8, 512, 8, 4, 1536, "27.3 M"),
    "medium": (12, 768, 12, 6, 2304, "88.1 M"), "large": (16, 1024, 16, 8, 3072, "206 M"),
    "xl": (20, 1536, 24, 12, 4608, "573 M"), "xxl": (22, 2048, 32, 16, 6144, "1.12 B"),
}  # fmt: skip
DIMENSIONS = st.builds(
    lambda layers, dim, kv, group, ffn: Dimensions(layers, 32 * dim, kv * group, kv, 32 * ffn),
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 6),
)  # fmt: skip


def built(dims: Dimensions, vocabulary: int) -> int:
    """Parameters of the decoder itself; the meta device needs no memory for them."""
    from engine.model.architecture import Architecture
    from engine.model.transformer import Decoder

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Decoder(Architecture.of(dims, vocabulary, 64)).parameters())


@pytest.mark.parametrize("name", SIZES)
def test_rungs(name: str) -> None:
    *shape, shown = DESIGN[name]
    dims = SIZES[name].dimensions
    assert (dims.layers, dims.dim, dims.heads, dims.kv_heads, dims.ffn) == tuple(shape)
    count = dims.parameters(4096)
    assert count == built(dims, 4096)
    number, unit = shown.split()
    rounded = count / {"M": 1e6, "B": 1e9}[unit]
    assert f"{rounded:.{len(number.partition('.')[2])}f}" == number


def test_the_ladder_is_complete_and_every_size_grows_to_every_larger_one() -> None:
    assert list(SIZES) == list(DESIGN)
    for index, size in enumerate(LADDER):
        check_dimensions(size.dimensions)
        assert name_of(size.dimensions) == size.name
        for other in LADDER:
            assert size.dimensions.grows_to(other.dimensions) == (LADDER.index(other) > index)


@given(DIMENSIONS, st.integers(16, 999))
def test_any_shape_is_counted_exactly(dims: Dimensions, vocabulary: int) -> None:
    assert dims.parameters(vocabulary) == built(dims, vocabulary)


def test_grouped_queries_may_not_lose_their_share_by_growing() -> None:
    base = Dimensions(1, 64, 4, 1, 64)
    assert base.grows_to(Dimensions(1, 64, 8, 2, 64))
    assert not base.grows_to(Dimensions(1, 64, 4, 2, 64)), "two queries a key instead of four"
    assert not base.grows_to(base)


def test_more_work_for_more_context_and_more_of_everything() -> None:
    dims = SIZES["nano"].dimensions
    assert dims.flops_per_token(1000, 256) < dims.flops_per_token(1000, 512) < dims.flops_per_token(2000, 512)
    assert dims.flops_per_token(4096, 1) >= 6 * (dims.parameters(4096) - 10_000)


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ((0, 64, 1, 1, 64), "model.size.layers must be at least 1"),
        ((1, 64, 3, 2, 64), "must be a multiple of model.size.kv_heads (2)"),
        ((1, 50, 1, 1, 64), "model.size.dim (50) must be a multiple of 32"),
        ((1, 64, 1, 1, 100), "model.size.ffn (100) must be a multiple of 32"),
    ],
)
def test_impossible_shapes_name_the_rule(shape: tuple[int, int, int, int, int], rule: str) -> None:
    with pytest.raises(UsageError) as caught:
        dimensions_of(Dimensions(*shape))
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"), [("smal", '"small"'), ("NANO", '"nano"'), ("x-large", ""), ("", "Sizes: nano,")]
)
def test_unknown_sizes(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        size_named(name)
    assert hint in str(caught.value) and "Sizes: nano, micro, tiny" in str(caught.value)


def test_custom_shapes_have_no_name() -> None:
    assert name_of(Dimensions(1, 32, 1, 1, 64)) == "custom"
    assert dimensions_of(Dimensions(1, 32, 1, 1, 64)) == Dimensions(1, 32, 1, 1, 64)
