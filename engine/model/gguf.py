"""GGUF, the format of llama.cpp and Ollama, written from a model folder without torch.

llama.cpp's own converter refuses every newly trained tokenizer, because it knows tokenizers by a digest of their
ids. What it needs is the name of a split pattern that it has built in, and ours is one of those. Tensors are read,
converted and written one at a time; the finished file is opened again and compared with the folder.
"""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import gguf
import numpy as np
from numpy.typing import NDArray

from engine.errors import ForgeError, ModelError, UsageError
from engine.files import fsync_folder, os_error
from engine.model.architecture import Architecture, RopeScaling
from engine.model.info import ModelInfo, read_model
from engine.model.json_file import read_limited
from engine.model.names import Shape, hf_shapes
from engine.model.sampling import SamplingSettings
from engine.text.chat_template import CHAT_TEMPLATE, END_OF_TEXT, TURN_END
from engine.text.tokenizer import SPLIT_PATTERN
from engine.text.tokenizer_file import TOKENIZER_FILE, read_definition

GgufKind = Literal["f32", "f16", "bf16", "q8_0"]
"""How matrices are stored; vectors are always f32."""

GGUF_KINDS: tuple[GgufKind, ...] = get_args(GgufKind)
TEMPLATE_FILE = "chat_template.jinja"

_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TOP_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INTERLEAVED = ("llama", "smollm3")
"""Families whose rotary pairs llama.cpp expects side by side."""

_Q8_BLOCK = 32
_TOLERANCE = {"f32": 0.0, "f16": 2**-11, "bf16": 2**-8, "q8_0": 0.6 / 127}
"""Largest error of a weight as a share of its tensor's largest: about half a step of each format."""

_UNDERFLOW = {"f32": 0.0, "f16": 2**-25, "bf16": 0.0, "q8_0": 2**-18}
"""What may be lost beside that: float16, which q8_0 scales are too, has no smaller numbers."""


@dataclass(frozen=True, slots=True)
class GgufReport:
    """What was written, and how far it is from the model folder."""

    file: Path
    """The GGUF file."""
    kind: GgufKind
    """How matrices are stored."""
    bytes: int
    """Its size."""
    tensors: int
    """Tensors written, opened again and compared."""
    max_error: float
    """Largest difference of one weight, as a share of its tensor's largest."""


def write_gguf(folder: Path | str, file: Path | str, kind: GgufKind = "f16") -> GgufReport:
    """Write a model folder as one GGUF file; an older file of that name is replaced when the new one is proven.

    Args:
        folder: a model folder.
        file: where to; its folder must exist.
        kind: "f32", "f16", "bf16" or "q8_0".

    Raises:
        UsageError: no such kind.
        ModelError: the folder cannot be used, or llama.cpp has no name for its architecture or tokenizer.
        DiskFullError: no space.
        ForgeError: the file cannot be written, or differs when opened again.
    """
    if kind not in GGUF_KINDS:
        raise UsageError(f'There is no GGUF kind "{str(kind)[:20]}".', fix=f"Kinds: {', '.join(GGUF_KINDS)}.")
    info = read_model(folder)
    _check_known(info)
    file = Path(file)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        _write(info, temporary, kind)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        max_error, tensors = _compare(info, temporary, kind)
        temporary.replace(file)
        fsync_folder(file.parent)
    except OSError as error:
        raise os_error(error, file) from error
    finally:
        temporary.unlink(missing_ok=True)
    return GgufReport(file, kind, file.stat().st_size, tensors, max_error)


def write_modelfile(folder: Path | str, model: Path, file: Path | None = None) -> Path:
    """Write the recipe with which `ollama create NAME -f Modelfile` imports a GGUF file that stands beside it.

    Args:
        folder: the model folder that the GGUF was written from.
        model: the GGUF file.
        file: where to; `Modelfile` beside the GGUF when None.
    """
    info = read_model(folder)
    target = model.with_name("Modelfile") if file is None else file
    settings = SamplingSettings()
    template = (
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    )
    if info.card is not None and not info.card.conversation:
        template = "{{ .Prompt }}"
    lines = [
        f"FROM ./{model.name}",
        f'TEMPLATE """{template}"""',
        f'PARAMETER stop "{TURN_END}"',
        f'PARAMETER stop "{END_OF_TEXT}"',
        f"PARAMETER num_ctx {info.architecture.context}",
        f"PARAMETER temperature {settings.temperature}",
        f"PARAMETER top_k {settings.top_k}",
        f"PARAMETER top_p {settings.top_p}",
        f"PARAMETER repeat_penalty {settings.repetition_penalty}",
    ]
    try:
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise os_error(error, target) from error
    return target


def _check_known(info: ModelInfo) -> None:
    """Refuse what llama.cpp would not load, or compute otherwise."""
    architecture = info.architecture
    every_fourth = tuple(range(3, architecture.layers, 4))
    if architecture.model_type == "smollm3" and architecture.nope_layers != every_fourth:
        raise ModelError(
            "llama.cpp knows blocks without rotary positions only where every fourth block is one.", file=info.folder
        )
    if architecture.model_type == "qwen2" and architecture.query_width != architecture.dim:
        raise ModelError("llama.cpp's qwen2 needs heads x head_dim to be the width of the model.", file=info.folder)


def _write(info: ModelInfo, file: Path, kind: GgufKind) -> None:
    writer = gguf.GGUFWriter(file, info.architecture.model_type)
    try:
        _add_shape(writer, info, kind)
        _add_tokenizer(writer, info)
        for name, shape in _shapes(info.architecture).items():
            stored = _stored_type(shape, kind)
            block, size = gguf.GGML_QUANT_SIZES[stored]
            writer.add_tensor_info(
                name, shape, np.dtype(np.float32), math.prod(shape) // block * size, raw_dtype=stored
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for _, tensor in _tensors(info):
            writer.write_tensor_data(gguf.quantize(tensor, _stored_type(tensor.shape, kind)))
        writer.flush()
    finally:
        writer.close()


def _add_shape(writer: gguf.GGUFWriter, info: ModelInfo, kind: GgufKind) -> None:
    architecture = info.architecture
    writer.add_type("model")
    writer.add_name(info.name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if kind == "f32" else gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(architecture.vocabulary)
    writer.add_context_length(architecture.context)
    writer.add_embedding_length(architecture.dim)
    writer.add_block_count(architecture.layers)
    writer.add_feed_forward_length(architecture.ffn)
    writer.add_head_count(architecture.heads)
    writer.add_head_count_kv(architecture.kv_heads)
    writer.add_key_length(architecture.head_dim)
    writer.add_value_length(architecture.head_dim)
    writer.add_rope_dimension_count(architecture.head_dim)
    writer.add_rope_freq_base(architecture.rope_theta)
    writer.add_layer_norm_rms_eps(architecture.rms_norm_eps)


def _add_tokenizer(writer: gguf.GGUFWriter, info: ModelInfo) -> None:
    file = info.files.get(TOKENIZER_FILE, info.folder / TOKENIZER_FILE)
    definition = read_definition(file)
    added = {token["id"]: token for token in definition["added_tokens"]}
    texts = {number: text for text, number in definition["model"]["vocab"].items()}
    texts |= {number: token["content"] for number, token in added.items()}
    size = info.architecture.vocabulary
    if max(texts) >= size:
        raise ModelError(f"The tokenizer has tokens beyond the model's {size}.", file=file)
    types = [gguf.TokenType.NORMAL if number in texts else gguf.TokenType.UNUSED for number in range(size)]
    for number, token in added.items():
        types[number] = gguf.TokenType.CONTROL if token.get("special") else gguf.TokenType.USER_DEFINED
    ids = {token["content"]: number for number, token in added.items()}
    merges = definition["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split_name(definition, file))
    writer.add_token_list([texts.get(number, f"[PAD{number}]") for number in range(size)])
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(ids[TURN_END])
    writer.add_eot_token_id(ids[TURN_END])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    template = info.files.get(TEMPLATE_FILE)
    writer.add_chat_template(CHAT_TEMPLATE if template is None else read_limited(template).decode("utf-8", "replace"))


def _split_name(definition: dict[str, Any], file: Path) -> str:
    """llama.cpp's name for how the tokenizer splits text."""
    outer = definition.get("pre_tokenizer") or {}
    steps = outer.get("pretokenizers") or [outer]
    kinds = [step.get("type") for step in steps]
    last_splits = steps[-1].get("use_regex", True)
    if kinds == ["Split", "ByteLevel"] and not last_splits:
        if steps[0].get("pattern") == {"Regex": SPLIT_PATTERN} and steps[0].get("behavior") == "Isolated":
            return "qwen2"
    elif kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and last_splits:
        return "smollm"
    elif kinds == ["ByteLevel"] and last_splits:
        return "gpt-2"
    raise ModelError(
        "llama.cpp has no name for the way this tokenizer splits text.",
        file=file,
        fix="Convert it with the tools of the model that it comes from.",
    )


def _stored_type(shape: tuple[int, ...], kind: GgufKind) -> gguf.GGMLQuantizationType:
    types = gguf.GGMLQuantizationType
    if len(shape) == 1 or kind == "f32":
        return types.F32
    if kind == "q8_0":
        return types.Q8_0 if shape[-1] % _Q8_BLOCK == 0 else types.F16
    return types.F16 if kind == "f16" else types.BF16


def _gguf_name(name: str) -> str:
    if name in _TOP_NAMES:
        return _TOP_NAMES[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    module, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{_LAYER_NAMES[module]}.{kind}"


def _shapes(architecture: Architecture) -> dict[str, Shape]:
    """Name to shape of every tensor in the file, in order."""
    shapes = {_gguf_name(name): shape for name, shape in hf_shapes(architecture).items()}
    if architecture.rope_scaling is not None:
        shapes["rope_freqs.weight"] = (architecture.head_dim // 2,)
    return shapes


def _tensors(info: ModelInfo) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor as float32 with its name in the file, in the order of `_shapes`, one at a time."""
    architecture = info.architecture
    for name in hf_shapes(architecture):
        tensor = info.weights.read(name)
        if architecture.model_type in _INTERLEAVED and ("q_proj" in name or "k_proj" in name):
            tensor = _interleaved(tensor, tensor.shape[0] // architecture.head_dim)
        yield _gguf_name(name), tensor
    if architecture.rope_scaling is not None:
        yield "rope_freqs.weight", _frequency_divisors(architecture, architecture.rope_scaling)


def _interleaved(tensor: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows in the order in which llama.cpp's llama rotates them: pairs side by side instead of half a head apart."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def _frequency_divisors(architecture: Architecture, scaling: RopeScaling) -> NDArray[np.float32]:
    """What llama.cpp divides each rotary frequency by, for Llama 3's stretched positions."""
    exponents = np.arange(0, architecture.head_dim, 2, dtype=np.float64) / architecture.head_dim
    turns = scaling.original_context * architecture.rope_theta**-exponents / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - kept) / scaling.factor + kept)).astype(np.float32)


def _compare(info: ModelInfo, file: Path, kind: GgufKind) -> tuple[float, int]:
    """Open the file again; the largest relative difference of a weight, and the number of tensors.

    Raises:
        ForgeError: something is not as it was written.
    """
    reader = gguf.GGUFReader(file)
    tokens = reader.get_field("tokenizer.ggml.tokens")
    if tokens is None or len(tokens.data) != info.architecture.vocabulary:
        raise ForgeError("The GGUF file was not written right: its tokens differ.", file=file)
    found = {tensor.name: tensor for tensor in reader.tensors}
    largest = 0.0
    for name, tensor in _tensors(info):
        entry = found.pop(name, None)
        if entry is None or tuple(reversed(entry.shape.tolist())) != tensor.shape:
            raise ForgeError(f"The GGUF file was not written right: {name} differs.", file=file)
        stored = gguf.dequantize(entry.data, entry.tensor_type).reshape(tensor.shape)
        scale, error = float(np.abs(tensor).max(initial=0.0)), float(np.abs(stored - tensor).max(initial=0.0))
        if not error <= _TOLERANCE[kind] * scale + _UNDERFLOW[kind]:
            raise ForgeError(f"The GGUF file was not written right: {name} is off by {error:.2g}.", file=file)
        largest = max(largest, error / scale if scale else 0.0)
    if found:
        raise ForgeError("The GGUF file was not written right: it holds tensors too many.", file=file)
    return largest, len(_shapes(info.architecture))
