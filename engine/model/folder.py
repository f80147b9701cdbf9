"""The model folder, which is a Hugging Face model: written as a whole, read with suspicion.

`transformers.AutoModelForCausalLM.from_pretrained(folder)` opens it as it is. Only safetensors and JSON are read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import DiskFullError, ModelError
from engine.files import os_error, sha256_of, write_atomic
from engine.model.architecture import Architecture
from engine.model.card import CARD_FILE, README_FILE, ModelCard
from engine.model.generation_config import generation_config
from engine.model.info import CONFIG_FILE, GENERATION_FILE, ModelInfo, read_model
from engine.model.names import to_hf, weights_of
from engine.model.transformer import Decoder
from engine.model.versions import publish
from engine.model.weights import WEIGHTS_FILE
from engine.sizes import name_of
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_file import TOKENIZER_FILE

__all__ = ["load_decoder", "load_tokenizer", "open_model", "publish", "write_model_files"]

MARK = "forge"
"""Key in the metadata of our weights: other programs drop it, and then the digest in forge.json is not theirs."""


def write_model_files(
    folder: Path,
    model: Decoder | Mapping[str, Tensor],
    architecture: Architecture,
    tokenizer: Tokenizer,
    card: ModelCard,
    *,
    dtype: torch.dtype | None = None,
) -> ModelCard:
    """Write every file of a model into an existing folder; for a model in use, inside `publish`.

    Args:
        folder: where to; files of the same names are replaced.
        model: the decoder, or its state dict (for one, an average of weights).
        architecture: its shape.
        tokenizer: its tokenizer.
        card: what happened; size, digests and the like are filled in here.
        dtype: to store as; as they are when None.

    Returns:
        The card as written.

    Raises:
        ModelError: the weights are not those of the architecture, are not numbers, or the tokenizer is too large.
        DiskFullError: no space.
        ForgeError: the folder cannot be written.
    """
    if tokenizer.vocabulary > architecture.vocabulary:
        raise ModelError(
            f"The tokenizer has {tokenizer.vocabulary} tokens, but the model only {architecture.vocabulary}."
        )
    stored = _storable(model, architecture, dtype, folder)
    kind = str(next(iter(stored.values())).dtype).removeprefix("torch.")
    ends = (tokenizer.end_of_text, tokenizer.turn_end)
    config = architecture.to_config(dtype=kind, eos=ends, pad=tokenizer.end_of_text)
    _write_json(folder / CONFIG_FILE, config)
    _write_json(folder / GENERATION_FILE, generation_config(ends, tokenizer.end_of_text))
    tokenizer.save(folder, context=architecture.context)
    metadata = {"format": "pt", MARK: "1", "step": str(card.step), "run": card.run}
    _save_weights(folder / WEIGHTS_FILE, stored, metadata)
    now = time.time()
    card = replace(
        card,
        created=card.created or now,
        updated=now,
        size=name_of(architecture.dimensions),
        parameters=architecture.parameters(),
        vocabulary=architecture.vocabulary,
        context=architecture.context,
        tokenizer_hash=tokenizer.hash,
        weights_sha256=sha256_of(folder / WEIGHTS_FILE),
        software=_software(),
    )
    write_atomic(folder / README_FILE, card.readme().encode())
    write_atomic(folder / CARD_FILE, card.to_json())
    return card


def _storable(
    model: Decoder | Mapping[str, Tensor], architecture: Architecture, dtype: torch.dtype | None, folder: Path
) -> dict[str, Tensor]:
    state = model.state_dict() if isinstance(model, Decoder) else model
    stored = to_hf(state, architecture)
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{name} holds values that are not numbers: training diverged.", file=folder)
        stored[name] = tensor.detach().to("cpu", dtype or tensor.dtype).contiguous()
    return stored


def load_decoder(
    folder: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | str | None = None
) -> tuple[Decoder, Architecture]:
    """The decoder of a model folder.

    Args:
        folder: the model folder.
        device: where to.
        dtype: of the weights in memory, such as "float32"; as stored when None.

    Raises:
        ModelError: missing, damaged, of a kind that is not understood, a pickle, or a link out of the folder.
    """
    info, decoder = open_model(folder, device, dtype)
    return decoder, info.architecture


def open_model(
    folder: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | str | None = None
) -> tuple[ModelInfo, Decoder]:
    """What is known of a model folder and its decoder, of one and the same version; as `load_decoder`."""
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    for _ in range(3):
        info = read_model(folder)
        try:
            check_digest(info)
            return info, _decoder_of(info, torch.device(device), kind)
        except FileNotFoundError:
            continue  # a newer version was published meanwhile
    raise ModelError("The model's files change faster than they can be read.", file=folder, fix="Try again.")


def load_tokenizer(info: ModelInfo) -> Tokenizer:
    """The tokenizer of the version that `info` describes.

    Raises:
        ModelError: it is missing or damaged, not the one that the model was trained with, or has too many tokens.
    """
    file = info.files.get(TOKENIZER_FILE)
    tokenizer = Tokenizer.load(file.parent if file is not None and file.name == TOKENIZER_FILE else info.folder)
    known = info.architecture.vocabulary
    if tokenizer.vocabulary > known or (info.card is not None and info.card.tokenizer_hash not in ("", tokenizer.hash)):
        raise ModelError(
            f"This tokenizer ({tokenizer.vocabulary} tokens) is not the model's own ({known} tokens).",
            file=info.folder / TOKENIZER_FILE,
            fix="Put back the tokenizer.json that came with the weights.",
        )
    return tokenizer


def check_digest(info: ModelInfo) -> None:
    """Compare the weights with the digest in forge.json; one flipped bit shows nowhere else.

    Weights that another program wrote have no such digest, and pass.

    Raises:
        ModelError: they differ.
        FileNotFoundError: a newer version has replaced them.
    """
    if info.card is None or not info.card.weights_sha256 or MARK not in info.weights.metadata:
        return
    file = info.weights.files[0]
    if sha256_of(file) != info.card.weights_sha256:
        raise ModelError(
            "The weights are damaged: they differ from their digest in forge.json.",
            file=file,
            fix="Copy or train the model again.",
        )


def _decoder_of(info: ModelInfo, device: torch.device, dtype: torch.dtype | None) -> Decoder:
    with torch.device("meta"):
        decoder = Decoder(info.architecture)
    state: dict[str, Tensor] = {}
    files = {file: safe_open(file, framework="pt") for file in info.weights.files}
    try:
        for weight in weights_of(info.architecture):
            parts = [files[info.weights.tensors[name].file].get_tensor(name) for name, _ in weight.parts]  # type: ignore[no-untyped-call]
            fused = parts[0] if len(parts) == 1 else torch.cat(parts)
            state[weight.name] = fused.to(device, dtype or fused.dtype, copy=True)
    except SafetensorError as error:
        raise ModelError("The weights are damaged.", file=info.weights.files[0]) from error
    decoder.load_state_dict(state, strict=True, assign=True)
    return decoder.to(device)


def _save_weights(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    try:
        path.touch()  # what the user's umask allows; the library makes its files private
        mode = path.stat().st_mode & 0o777
        save_file(tensors, path, metadata)
        path.chmod(mode)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    except OSError as error:
        raise os_error(error, path) from error
    except SafetensorError as error:
        raise _space_error(error, path) from error


def _space_error(error: SafetensorError, path: Path) -> ModelError | DiskFullError:
    """The library says only "I/O error"; the words of the operating system are inside."""
    text = str(error)
    if any(words in text for words in ("No space left", "quota exceeded", "File too large")):
        return DiskFullError("No space left on the device.", file=path, fix="Free some space, then run it again.")
    return ModelError(f"Cannot write the weights: {text[:160]}.", file=path)


def _write_json(path: Path, table: Mapping[str, object]) -> None:
    write_atomic(path, json.dumps(table, indent=2).encode() + b"\n")


def _software() -> str:
    try:
        return f"forge-tui {version('forge-tui')}"
    except PackageNotFoundError:
        return "forge-tui"
