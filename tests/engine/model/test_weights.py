from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from engine.errors import ModelError
from engine.model.weights import open_weights, read_header

TENSORS = {
    "a": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "b": torch.tensor([1.5, -2.0, 3e-30], dtype=torch.bfloat16),
    "c": torch.tensor([[0.5], [-7.0]], dtype=torch.float16),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, {"format": "pt", "step": "7"})
    return path


def test_header_and_numbers_of_every_kind(file: Path) -> None:
    weights = open_weights(file.parent)
    assert weights.shapes == {"a": (3, 4), "b": (3,), "c": (2, 1)}
    assert weights.metadata["step"] == "7"
    assert weights.dtype == "float32"
    assert weights.bytes == 48 + 6 + 4
    for name, tensor in TENSORS.items():
        assert np.array_equal(weights.read(name), tensor.float().numpy())


def test_cut_anywhere_is_refused(file: Path) -> None:
    data = file.read_bytes()
    for end in range(len(data)):
        file.write_bytes(data[:end])
        with pytest.raises(ModelError):
            read_header(file)
    file.write_bytes(data + b"\0")
    with pytest.raises(ModelError, match="damaged"):
        read_header(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_flipped_byte_in_the_header_is_refused_or_harmless(file: Path, data: st.DataObject) -> None:
    content = bytearray(file.read_bytes())
    length = struct.unpack("<Q", content[:8])[0]
    place = data.draw(st.integers(0, 7 + length))
    content[place] ^= data.draw(st.integers(1, 255))
    damaged = file.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        weights = read_header(damaged)
    except ModelError:
        return
    assert sum(entry.bytes for entry in weights.tensors.values()) == len(content) - 8 - length


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        {"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}},
        {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
    ],
)
def test_wrong_headers_are_refused(tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(ModelError):
        read_header(path)


def test_shards_are_read_and_their_names_stay_in_the_folder(tmp_path: Path) -> None:
    save_file({"a": TENSORS["a"]}, tmp_path / "model-1.safetensors")
    save_file({"b": TENSORS["b"]}, tmp_path / "model-2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    weights = open_weights(tmp_path)
    assert np.array_equal(weights.read("b"), TENSORS["b"].float().numpy())
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lack the file model-2\.safetensors"):
        open_weights(tmp_path)
    for name in ("../x.safetensors", "/etc/x.safetensors", "x.bin", "", 3):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ModelError, match="list of weight files"):
            open_weights(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.PTH", "weights.pkl", "last.ckpt"])
def test_pickles_are_refused_with_the_safe_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="pickle") as caught:
        open_weights(tmp_path)
    assert name in caught.value.where and "safetensors" in caught.value.fix


def test_an_empty_folder_has_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        open_weights(tmp_path)
