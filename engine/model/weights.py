"""Weights on disk without torch: safetensors headers, checked; tensors as numpy arrays, one at a time."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.model.json_file import read_json
from engine.model.names import Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of one number of the dtypes that are read."""

_LARGEST_HEADER = 64 << 20
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_CONVERT = (
    "Convert it to safetensors where nothing can be harmed, in a throw-away container: "
    "torch.load(..., weights_only=True), then safetensors.torch.save_file."
)


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor is."""

    file: Path
    """The safetensors file."""
    dtype: str
    """A key of `ITEM_BYTES`."""
    shape: Shape
    """Row-major."""
    start: int
    """First byte in the file."""

    @property
    def bytes(self) -> int:
        """Size in the file."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """All tensors of a model folder: what the headers say, checked against the sizes of the files."""

    tensors: dict[str, TensorEntry]
    """By their names on disk."""
    metadata: dict[str, str]
    """Free text that the writer left in the first file."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Name to shape."""
        return {name: entry.shape for name, entry in self.tensors.items()}

    @property
    def files(self) -> list[Path]:
        """The safetensors files, in order of first use."""
        return list(dict.fromkeys(entry.file for entry in self.tensors.values()))

    @property
    def dtype(self) -> str:
        """The dtype of most of the numbers: "float32", "float16" or "bfloat16"."""
        sizes: dict[str, int] = {}
        for entry in self.tensors.values():
            sizes[entry.dtype] = sizes.get(entry.dtype, 0) + math.prod(entry.shape)
        names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
        return names[max(sizes, key=lambda dtype: sizes[dtype])]

    @property
    def bytes(self) -> int:
        """Size of all tensors on disk."""
        return sum(entry.bytes for entry in self.tensors.values())

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor as float32, whatever it is stored as."""
        import numpy as np

        entry = self.tensors[name]
        kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[entry.dtype]
        stored = np.fromfile(entry.file, dtype=kind, count=math.prod(entry.shape), offset=entry.start)
        if entry.dtype == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32, copy=False).reshape(entry.shape)


def open_weights(folder: Path, locate: dict[str, Path] | None = None) -> StoredWeights:
    """The weights of a model folder, in one file or in shards.

    Args:
        folder: the model folder.
        locate: where files of the folder really are; a name that is not in it is taken from the folder.

    Raises:
        ModelError: no weights, only a pickle, or a damaged, cut or unreadable file.
    """

    def path_of(name: str) -> Path:
        return (locate or {}).get(name, folder / name)

    if path_of(WEIGHTS_FILE).is_file():
        return read_header(path_of(WEIGHTS_FILE))
    if path_of(INDEX_FILE).is_file():
        return _read_shards(folder, path_of(INDEX_FILE), locate)
    refuse_pickles(folder)
    raise ModelError(f"There is no {WEIGHTS_FILE} here.", file=folder, fix="Is this a model folder?")


def refuse_pickles(path: Path) -> None:
    """Refuse a pickle, or a folder that holds one: opening it can run any program.

    Raises:
        ModelError: names the file and the safe way.
    """
    found = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    for file in found:
        if file.suffix.lower() in _PICKLES and file.is_file():
            raise ModelError("A pickle can run any program when it is opened.", file=file, fix=_CONVERT)


def read_header(path: Path) -> StoredWeights:
    """The header of one safetensors file.

    Raises:
        ModelError: the file is damaged or cut, or holds numbers of a kind that is not read.
    """
    broken = ModelError("The weights are damaged or cut off.", file=path, fix="Copy or train the model again.")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise broken
            header = json.loads(stream.read(length))
    except OSError as error:
        raise ModelError(f"Cannot read the weights: {error.strerror}.", file=path) from error
    except (ValueError, RecursionError) as error:
        raise broken from error
    if not isinstance(header, dict):
        raise broken
    metadata = header.pop("__metadata__", {})
    tensors = {str(name): _entry(entry, path, 8 + length, broken) for name, entry in header.items()}
    end = 8 + length
    for entry in sorted(tensors.values(), key=lambda entry: entry.start):
        if entry.start != end:
            raise broken
        end += entry.bytes
    if end != size or not tensors:
        raise broken
    metadata = {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    return StoredWeights(tensors, metadata)


def _entry(entry: Any, path: Path, data: int, broken: ModelError) -> TensorEntry:
    if not isinstance(entry, dict):
        raise broken
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise broken
    if not all(type(number) is int and number >= 0 for number in [*shape, *offsets]):
        raise broken
    if str(dtype) not in ITEM_BYTES:
        raise ModelError(
            f"The weights hold {str(dtype)[:20]} numbers, which are not read.",
            file=path,
            fix="Use a checkpoint in float32, bfloat16 or float16.",
        )
    found = TensorEntry(path, str(dtype), tuple(shape), data + offsets[0])
    if found.bytes != offsets[1] - offsets[0]:
        raise broken
    return found


def _read_shards(folder: Path, index: Path, locate: dict[str, Path] | None) -> StoredWeights:
    table = read_json(index).get("weight_map")
    names = table.values() if isinstance(table, dict) else ()
    if not names or not all(isinstance(name, str) and _is_shard_name(name) for name in names):
        raise ModelError("The list of weight files is damaged.", file=index)
    tensors: dict[str, TensorEntry] = {}
    metadata: dict[str, str] = {}
    for name in dict.fromkeys(names):
        path = (locate or {}).get(name, folder / name)
        if not path.is_file():
            raise ModelError(f"The weights lack the file {name}.", file=index, fix="Copy the model again.")
        shard = read_header(path)
        tensors |= shard.tensors
        metadata = metadata or shard.metadata
    return StoredWeights(tensors, metadata)


def _is_shard_name(name: str) -> bool:
    return name.endswith(".safetensors") and name == Path(name).name and "\\" not in name and name.isprintable()
