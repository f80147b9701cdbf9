"""What a decoder is made of: dimensions and switches, to and from a Hugging Face `config.json`.

One block covers every family that is read: RMSNorm before attention and feed-forward, rotary positions in the
half-split layout, grouped queries, SwiGLU. The families differ by the switches of `Architecture` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from engine.errors import ModelError
from engine.sizes import HEAD_DIM, Dimensions

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
"""The families whose `config.json` is understood."""

_CLASS_NAMES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}

_LIMITS = {
    "num_hidden_layers": 1024,
    "hidden_size": 65_536,
    "num_attention_heads": 4096,
    "num_key_value_heads": 4096,
    "intermediate_size": 1_048_576,
    "vocab_size": 4_194_304,
    "max_position_embeddings": 16_777_216,
    "head_dim": 4096,
}

_DEFAULT_EPS = 1e-6
_DEFAULT_THETA = {"llama": 10_000.0, "mistral": 10_000.0, "qwen2": 10_000.0, "qwen3": 10_000.0, "smollm3": 2_000_000.0}


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama 3's way of stretching rotary positions: low frequencies are divided, high ones kept, the rest blended."""

    factor: float
    """How many times longer than trained the context is."""
    low_frequency_factor: float
    """Wavelengths above `original_context / low_frequency_factor` are divided by `factor`."""
    high_frequency_factor: float
    """Wavelengths below `original_context / high_frequency_factor` stay as they are."""
    original_context: int
    """Tokens of context before stretching."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The exact shape of a decoder; two decoders of equal architecture take each other's weights."""

    layers: int
    """Number of transformer blocks."""
    dim: int
    """Width of the residual stream."""
    heads: int
    """Number of query heads, each `head_dim` wide."""
    kv_heads: int
    """Number of key/value heads; divides `heads`."""
    ffn: int
    """Width of the SwiGLU feed-forward layer."""
    vocabulary: int
    """Number of token ids."""
    context: int
    """Most tokens in one sequence."""
    head_dim: int = HEAD_DIM
    """Width of one attention head."""
    rope_theta: float = 10_000.0
    """Base of the rotary wavelengths."""
    rms_norm_eps: float = 1e-6
    """Added to the mean square in every norm."""
    tied: bool = True
    """Whether the output head is the embedding."""
    qk_norm: bool = True
    """Whether each query and key head is normalised before rotation (Qwen3)."""
    qkv_bias: bool = False
    """Whether the query, key and value projections have a bias (Qwen2)."""
    rope_scaling: RopeScaling | None = None
    """Llama 3's stretched positions, or None."""
    nope_layers: tuple[int, ...] = ()
    """Blocks, counted from 0, that do without rotary positions (SmolLM3)."""

    @classmethod
    def of(cls, dimensions: Dimensions, vocabulary: int, context: int) -> Self:
        """Our own architecture at these dimensions."""
        return cls(
            layers=dimensions.layers,
            dim=dimensions.dim,
            heads=dimensions.heads,
            kv_heads=dimensions.kv_heads,
            ffn=dimensions.ffn,
            vocabulary=vocabulary,
            context=context,
        )

    @property
    def dimensions(self) -> Dimensions:
        """The shape without vocabulary, context and switches."""
        return Dimensions(layers=self.layers, dim=self.dim, heads=self.heads, kv_heads=self.kv_heads, ffn=self.ffn)

    @property
    def model_type(self) -> str:
        """The Hugging Face family that computes exactly this.

        Raises:
            ModelError: no family has this combination of switches.
        """
        if self.qk_norm + self.qkv_bias + bool(self.nope_layers) > 1:
            raise ModelError("No Hugging Face architecture combines query/key norms, biases and layers without RoPE.")
        if self.nope_layers:
            return "smollm3"
        if self.qk_norm:
            return "qwen3"
        return "qwen2" if self.qkv_bias else "llama"

    @property
    def query_width(self) -> int:
        """Columns of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Columns of all key (or value) heads together."""
        return self.kv_heads * self.head_dim

    def parameters(self) -> int:
        """Exact number of weights; equals `sum(p.numel() for p in Decoder(self).parameters())`."""
        attention = self.dim * (2 * self.query_width + 2 * self.kv_width)
        attention += 2 * self.head_dim * self.qk_norm + (self.query_width + 2 * self.kv_width) * self.qkv_bias
        block = attention + 3 * self.dim * self.ffn + 2 * self.dim
        return self.vocabulary * self.dim * (1 if self.tied else 2) + self.layers * block + self.dim

    def to_config(
        self, *, dtype: str = "float32", eos: int | Sequence[int] | None = (0, 2), pad: int | None = 0
    ) -> dict[str, Any]:
        """The `config.json` that transformers 4 and 5, llama.cpp and Ollama read.

        Args:
            dtype: "float32", "bfloat16" or "float16", as the weights are stored.
            eos: token ids that end an answer.
            pad: token id of padding.
        """
        model_type = self.model_type
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": self.rope_theta}
        if self.rope_scaling is not None:
            rope |= {
                "rope_type": "llama3",
                "factor": self.rope_scaling.factor,
                "low_freq_factor": self.rope_scaling.low_frequency_factor,
                "high_freq_factor": self.rope_scaling.high_frequency_factor,
                "original_max_position_embeddings": self.rope_scaling.original_context,
            }
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"} if self.rope_scaling else None
        config: dict[str, Any] = {
            "architectures": [_CLASS_NAMES[model_type]],
            "model_type": model_type,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "hidden_size": self.dim,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": scaling,
            "rope_parameters": rope,
            "attention_bias": self.qkv_bias,
            "attention_dropout": 0.0,
            "mlp_bias": False,
            "tie_word_embeddings": self.tied,
            "use_cache": True,
            "use_sliding_window": False,
            "sliding_window": None,
            "bos_token_id": None,
            "eos_token_id": list(eos) if isinstance(eos, Sequence) else eos,
            "pad_token_id": pad,
            "initializer_range": 0.02,
            "dtype": dtype,
            "torch_dtype": dtype,
        }
        if model_type == "smollm3":
            config["no_rope_layers"] = [int(layer not in self.nope_layers) for layer in range(self.layers)]
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], file: str | None = None) -> Self:
        """The architecture that a `config.json` describes.

        Args:
            config: the parsed file; nothing in it is trusted.
            file: its path, for the error message.

        Raises:
            ModelError: another family, code in the folder, quantised weights, or a switch that is not understood.
        """
        reader = _ConfigReader(config, file)
        model_type = reader.model_type()
        reader.refuse_foreign()
        heads = reader.size("num_attention_heads")
        dim = reader.size("hidden_size")
        kv_heads = reader.size("num_key_value_heads", default=heads)
        if heads % kv_heads:
            raise reader.error(f"num_attention_heads ({heads}) is not a multiple of num_key_value_heads ({kv_heads})")
        head_dim = reader.size("head_dim", default=128 if model_type == "qwen3" else max(1, dim // heads))
        if head_dim % 2:
            raise reader.error(f"head_dim ({head_dim}) must be even for rotary positions")
        layers = reader.size("num_hidden_layers")
        theta, scaling = reader.rope(model_type)
        return cls(
            layers=layers,
            dim=dim,
            heads=heads,
            kv_heads=kv_heads,
            ffn=reader.size("intermediate_size"),
            vocabulary=reader.size("vocab_size"),
            context=reader.context(model_type),
            head_dim=head_dim,
            rope_theta=theta,
            rms_norm_eps=reader.positive("rms_norm_eps", config, default=_DEFAULT_EPS),
            tied=reader.flag("tie_word_embeddings", default=model_type == "smollm3"),
            qk_norm=model_type == "qwen3",
            qkv_bias=model_type == "qwen2",
            rope_scaling=scaling,
            nope_layers=reader.nope_layers(layers) if model_type == "smollm3" else (),
        )


@dataclass(frozen=True, slots=True)
class _ConfigReader:
    """Reads one untrusted `config.json`, a field at a time."""

    config: Mapping[str, Any]
    file: str | None

    def error(self, what: str, fix: str = "") -> ModelError:
        return ModelError(f"{what}.", fix=fix, file=self.file)

    def model_type(self) -> str:
        for key in ("auto_map", "trust_remote_code"):
            if self.config.get(key):
                raise self.error(
                    f"This model needs code of its own ({key}), which is never run", "Choose a model without it."
                )
        model_type = self.config.get("model_type")
        if model_type not in MODEL_TYPES:
            shown = str(model_type)[:40] if model_type else "none"
            raise self.error(f"Unknown model_type ({shown})", f"Understood: {', '.join(MODEL_TYPES)}.")
        return str(model_type)

    def refuse_foreign(self) -> None:
        """Refuse every switch that would make the block compute something else."""
        if self.config.get("quantization_config") or self.config.get("compression_config"):
            raise self.error(
                "The weights are quantised", "Use the original checkpoint in float32, bfloat16 or float16."
            )
        if self.config.get("hidden_act", "silu") not in ("silu", "swish"):
            raise self.error(f"hidden_act is {str(self.config['hidden_act'])[:40]}, only silu is understood")
        if self.flag("mlp_bias", default=False):
            raise self.error("mlp_bias is set, which is not understood")
        if self.config.get("model_type") != "qwen2" and self.flag("attention_bias", default=False):
            raise self.error("attention_bias is set, which is not understood for this family")
        if self.flag("use_sliding_window", default=False):
            raise self.error("use_sliding_window is set, which is not understood")
        if self.config.get("partial_rotary_factor", 1.0) != 1.0:
            raise self.error("partial_rotary_factor is set, which is not understood")

    def size(self, key: str, default: int | None = None) -> int:
        value = self.config.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LIMITS[key]:
            raise self.error(f"{key} must be a whole number from 1 to {_LIMITS[key]}, not {str(value)[:40]}")
        return value

    def positive(self, key: str, table: Mapping[str, Any], default: float | None = None) -> float:
        value = table.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.error(f"{key} must be a positive number, not {str(value)[:40]}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.config.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false, not {str(value)[:40]}")
        return value

    def context(self, model_type: str) -> int:
        """Positions; where a window slides, its width, within which sliding and full attention are the same."""
        context = self.size("max_position_embeddings")
        window = self.config.get("sliding_window")
        if model_type == "mistral" and isinstance(window, int) and 1 <= window < context:
            return window
        return context

    def rope(self, model_type: str) -> tuple[float, RopeScaling | None]:
        """Base and stretching: transformers 5 writes `rope_parameters`, 4 wrote `rope_theta` and `rope_scaling`."""
        parameters = self.config.get("rope_parameters")
        scaling = parameters if parameters is not None else self.config.get("rope_scaling")
        if scaling is not None and not isinstance(scaling, Mapping):
            raise self.error("rope_parameters must be a table")
        table: Mapping[str, Any] = scaling or {}
        theta = self.positive("rope_theta", {**self.config, **table}, default=_DEFAULT_THETA[model_type])
        kind = table.get("rope_type", table.get("type", "default"))
        if kind == "default":
            return theta, None
        if kind != "llama3":
            raise self.error(f"RoPE of type {str(kind)[:40]} is not understood", "Understood: default, llama3.")
        original = self.positive("original_max_position_embeddings", table)
        stretched = RopeScaling(
            factor=self.positive("factor", table),
            low_frequency_factor=self.positive("low_freq_factor", table),
            high_frequency_factor=self.positive("high_freq_factor", table),
            original_context=int(original),
        )
        if stretched.high_frequency_factor <= stretched.low_frequency_factor:
            raise self.error("high_freq_factor must be larger than low_freq_factor")
        return theta, stretched

    def nope_layers(self, layers: int) -> tuple[int, ...]:
        pattern = self.config.get("no_rope_layers")
        if pattern is None:
            interval = self.config.get("no_rope_layer_interval", 4)
            if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
                raise self.error("no_rope_layer_interval must be a whole number of at least 1")
            return tuple(layer for layer in range(layers) if (layer + 1) % interval == 0)
        if not isinstance(pattern, Sequence) or len(pattern) < layers or any(flag not in (0, 1) for flag in pattern):
            raise self.error("no_rope_layers must hold one 0 or 1 a layer")
        return tuple(layer for layer in range(layers) if not pattern[layer])
