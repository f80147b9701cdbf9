"""A model folder at a glance, without torch: its architecture, its card, and whether its files can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError
from engine.model.architecture import Architecture
from engine.model.card import CARD_FILE, ModelCard
from engine.model.json_file import read_json, read_limited
from engine.model.names import check_hf_shapes
from engine.model.versions import CURRENT, VERSIONS
from engine.model.weights import StoredWeights, open_weights, refuse_pickles
from engine.sizes import name_of

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What can be known of a model without loading it."""

    folder: Path
    """As it was asked for."""
    architecture: Architecture
    """Its exact shape."""
    weights: StoredWeights
    """Names, shapes and places of its tensors."""
    card: ModelCard | None
    """`forge.json`; None for a model of another program."""
    files: dict[str, Path]
    """Where each file of this version really is; stays right while a newer version is published."""
    stop_ids: tuple[int, ...]
    """Token ids that end an answer."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def size(self) -> str:
        """A name of the ladder, or "custom"."""
        return name_of(self.architecture.dimensions)

    @property
    def parameters(self) -> int:
        """Exact number of weights."""
        return self.architecture.parameters()


def read_model(folder: Path | str) -> ModelInfo:
    """Read and check a model folder; tensors are not read.

    Raises:
        ModelError: it is missing, damaged, of a kind that is not understood, a pickle, or links out of itself.
    """
    folder = Path(folder)
    if not folder.is_dir():
        if folder.is_file():
            refuse_pickles(folder)
        raise ModelError("There is no model folder here.", file=folder, fix="`forge-tui models` lists what there is.")
    for _ in range(3):
        files = locate_files(folder)
        try:
            return _read_located(folder, files)
        except (ModelError, FileNotFoundError):
            # A newer version may have been published between two files: then the older one is gone; read the newer.
            if all(path.exists() for path in files.values()):
                raise
    missing = next((path for path in files.values() if not path.exists()), folder)
    raise ModelError("This file of the model is missing.", file=missing, fix="Copy the model again.")


def locate_files(folder: Path) -> dict[str, Path]:
    """Every plain file of a model folder by name, with links resolved to one version of the model.

    Raises:
        ModelError: a link leads out of the folder.
    """
    root = folder.resolve()
    current = folder / CURRENT
    pinned = (folder / current.readlink()).resolve() if current.is_symlink() else None
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if pinned is not None and path.is_symlink() and path.readlink() == Path(CURRENT, path.name):
            real = (pinned / path.name).resolve()
        else:
            real = path.resolve()
        if path.name in (CURRENT, VERSIONS) or path.suffix not in (".json", ".safetensors", ".jinja", ".md"):
            continue
        if not (real.is_relative_to(root) or _is_cache_blob(path, real)):
            raise ModelError("This link leads out of the model folder.", file=path, fix="Copy the file itself there.")
        if real.is_dir():
            continue
        files[path.name] = real
    return files


def _is_cache_blob(path: Path, real: Path) -> bool:
    """Whether a link is one of the Hugging Face cache: models--x/snapshots/REVISION/file to models--x/blobs/HASH."""
    snapshot = path.parent.resolve()
    return snapshot.parent.name == "snapshots" and real.parent == snapshot.parent.parent / "blobs"


def _read_located(folder: Path, files: dict[str, Path]) -> ModelInfo:
    config = files.get(CONFIG_FILE)
    if config is None:
        refuse_pickles(folder)
        raise ModelError(f"There is no {CONFIG_FILE} here.", file=folder, fix="Is this a model folder?")
    table = read_json(config)
    architecture = Architecture.from_config(table, str(folder / CONFIG_FILE))
    weights = open_weights(folder, files)
    check_hf_shapes(weights.shapes, architecture, str(weights.files[0]))
    card = None
    if CARD_FILE in files:
        card = ModelCard.from_json(read_limited(files[CARD_FILE]), str(folder / CARD_FILE))
    generation = read_json(files[GENERATION_FILE]) if GENERATION_FILE in files else {}
    ends = generation.get("eos_token_id", table.get("eos_token_id"))
    return ModelInfo(folder, architecture, weights, card, files, _token_ids(ends))


def _token_ids(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(number for number in values if type(number) is int and number >= 0)
