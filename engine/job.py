"""forge.toml as frozen dataclasses: the whole schema of a job, with defaults and ranges.

Reading and writing the file is in `engine.job_file`; what "auto" becomes is decided in `engine.training.recipe`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from msgspec import Meta

from engine.sizes import Dimensions

Auto = Literal["auto"]
Open = Literal["auto", "find"]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Epochs = Annotated[int, Meta(ge=1, le=1_000_000)]
LearningRate = Annotated[float, Meta(gt=0.0, le=10.0)]

DEFAULT_DATA = "data/combined_action_training.txt"
DEFAULT_NAME = "sacrifice"
MINIMUM_SEQUENCE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class ModelSection:
    """[model]: what is trained."""

    name: str = DEFAULT_NAME
    """Folder below models/; lower-case letters, digits, dot, dash, underscore."""
    size: str | Dimensions = "small"
    """A rung of the ladder (nano micro tiny mini small medium large xl xxl) or a table of dimensions."""
    vocabulary: Auto | Annotated[int, Meta(ge=300, le=200_000)] = "auto"
    """Tokens of a new tokenizer; a model that exists keeps its own."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A training file with settings of its own."""

    path: str
    """File or glob, relative to forge.toml."""
    format: str = "auto"
    """Name of a format, or "auto" to look."""
    weight: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    """How often its documents are seen in an epoch, on average."""
    columns: dict[str, str] = field(default_factory=dict, hash=False)
    """For records (JSON, CSV, Parquet): our field names to the file's own, as in { prompt = "frage" }."""


@dataclass(frozen=True, slots=True)
class DataSection:
    """[data]: what it is trained on."""

    files: Annotated[list[str | DataFile], Meta(min_length=1)] = field(default_factory=lambda: [DEFAULT_DATA])
    """Files, globs, or tables with `path`, `format`, `weight` and `columns`."""
    format: str = "auto"
    """Format of the files that do not name one."""
    validation: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.05
    """Share of the documents that is held out; 0 switches validation off."""
    deduplicate: bool = True
    """Whether documents that repeat another one (also across files) are dropped, and counted."""


@dataclass(frozen=True, slots=True)
class TrainSection:
    """[train]: how."""

    method: Literal["build", "train", "grow"] = "train"
    """build: from scratch · train: continue, build when there is none · grow: to `size`, then train."""
    epochs: Auto | Epochs = 30
    """Passes over the data; "auto": as many as the model learns from."""
    max_time: str = ""
    """Plan the whole run for this time, such as "90s", "30m" or "1h30m": fewer steps, to the end of the schedule."""
    learning_rate: Open | LearningRate = "auto"
    """Peak of the schedule (with Muon: of the matrices); "find": by short trials before the first step."""
    batch_size: Open | Annotated[int, Meta(ge=1, le=65536)] = "auto"
    """Rows in a micro-batch; "find": as many as are fastest here, the optimizer step staying as it is."""
    gradient_accumulation: Auto | Annotated[int, Meta(ge=1, le=65536)] = "auto"
    """Micro-batches in an optimizer step."""
    sequence_length: Auto | Annotated[int, Meta(ge=MINIMUM_SEQUENCE_LENGTH, le=131_072)] = 512
    """Tokens in a row."""
    mixed_precision: Auto | bool | Literal["fp32", "bf16", "fp16"] = "auto"
    """true: the best 16-bit type of the device; false: fp32."""
    save_every: Auto | Annotated[int, Meta(ge=1, le=1_000_000)] = "auto"
    """Epochs between checkpoints."""
    save_minutes: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 10.0
    """At most this many minutes between checkpoints, whatever `save_every` says."""
    keep_checkpoints: Annotated[int, Meta(ge=1, le=1000)] = 2
    """Newest checkpoints that are kept; the best one is kept besides."""
    checkpoint_budget: Auto | Annotated[float, Meta(gt=0.0, le=1_000_000.0)] = "auto"
    """Gigabytes that the checkpoints of a run may take together; "auto" is no limit but the free disk."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1337
    """Of the weights, the order of the data and the samples."""
    preset: Auto | Literal["classic"] = "auto"
    """classic: the training guide's numbers for everything that is "auto"."""
    optimizer: Auto | Literal["muon", "adamw"] = "auto"
    """muon: Muon for the matrices, AdamW for the rest · adamw: AdamW for everything."""
    weight_decay: Auto | Annotated[float, Meta(ge=0.0, le=100.0)] = "auto"
    """Decoupled weight decay of the matrices."""
    average: Auto | Annotated[float, Meta(ge=0.0, le=1000.0)] = "auto"
    """Epochs after which a step counts half in the averaged weights, which are published; 0: no averaging."""
    warmup: Auto | Fraction = "auto"
    """Share of the steps in which the learning rate rises."""
    length_warmup: Auto | Fraction = "auto"
    """Share of the steps that read their rows in pieces, of 64 tokens first, then of twice as many; 0: whole rows."""
    bpe_dropout: Auto | Annotated[float, Meta(ge=0.0, le=0.5)] = "auto"
    """Share of the tokens split at random into what they were merged from, in all but the last epochs."""
    gradient_clip: Annotated[float, Meta(ge=0.0, le=1_000_000.0)] = 1.0
    """Largest norm of the gradient; 0 switches clipping off."""
    prompt_weight: Auto | Fraction = "auto"
    """Weight in the loss of everything that the assistant does not say itself."""
    early_stop: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Validations without improvement after which the run ends; 0: never."""
    compile: Auto | bool = "auto"
    """torch.compile: true, false, or in runs that are long enough to win by it: on a GPU, or in bf16."""
    device: Auto | Literal["cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    threads: Auto | Annotated[int, Meta(ge=1, le=1024)] = "auto"
    """CPU threads."""


@dataclass(frozen=True, slots=True)
class Stage:
    """[[stage]]: a further stage after [data] and [train], in the same run and history."""

    name: str
    """Shown in the plan and the log."""
    files: Annotated[list[str | DataFile], Meta(min_length=1)]
    """As in [data]."""
    epochs: Epochs = 30
    """Passes over this stage's data."""
    learning_rate: Auto | LearningRate = "auto"
    """Peak of this stage's schedule; "auto" is half of the first stage's."""


@dataclass(frozen=True, slots=True)
class EvalSection:
    """[eval]: what is looked at on the way."""

    prompts: list[str] = field(default_factory=lambda: ["What is Python?"])
    """Answered by the model as it trains."""
    every: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    """Epochs between samples."""
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Longest sample."""


@dataclass(frozen=True, slots=True)
class ExportSection:
    """[export]: what is written beside the model when the run has finished."""

    gguf: list[Literal["f32", "f16", "bf16", "q8_0"]] = field(default_factory=list)
    """GGUF files for llama.cpp and Ollama, one for each type."""


@dataclass(frozen=True, slots=True)
class Job:
    """A whole forge.toml."""

    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    train: TrainSection = field(default_factory=TrainSection)
    stage: list[Stage] = field(default_factory=list)
    eval: EvalSection = field(default_factory=EvalSection)
    export: ExportSection = field(default_factory=ExportSection)

    @property
    def all_files(self) -> list[DataFile]:
        """The files of all stages, each with its own format and weight."""
        groups = [self.data.files, *(stage.files for stage in self.stage)]
        return [self.data_file(entry) for group in groups for entry in group]

    def data_file(self, entry: str | DataFile) -> DataFile:
        """An entry of a `files` list with the defaults of [data] applied."""
        if isinstance(entry, str):
            return DataFile(path=entry, format=self.data.format)
        if entry.format == "auto" and self.data.format != "auto":
            return replace(entry, format=self.data.format)
        return entry
