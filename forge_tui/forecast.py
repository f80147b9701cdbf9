"""What a run of each size would need and take here, and what every "auto" would be: before anything is built."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.estimate import MEMORY_SHARE, checkpoint_bytes, tokens_per_second, training_memory
from engine.job import Job
from engine.runs.state import Run
from engine.sizes import LADDER, SIZES, Dimensions, Size, dimensions_of, name_of
from engine.speeds import remembered_flops
from engine.text.findings.amount import in_words, recommended_size
from engine.text.report import Bar
from engine.training.length_warmup import LengthWarmup
from engine.training.recipe import Facts, Recipe, decide_epochs, resolve
from forge_tui.machine_facts import Machine

Fit = Literal["fits", "tight", "too large"]
LEFT_OPEN = (
    "epochs", "learning_rate", "batch_size", "gradient_accumulation", "sequence_length", "weight_decay", "average",
    "warmup", "length_warmup", "bpe_dropout", "save_every", "prompt_weight", "optimizer",
)  # fmt: skip
"""Keys of [train] that the recipe decides."""
BYTES_PER_TOKEN = 3.0
"""Of text that nobody has counted yet."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much data a job has."""

    tokens: int
    """In an epoch, weights included; validation left out."""
    documents: int
    lines: int
    """As the guide counts them."""
    vocabulary: int
    """Of the tokenizer that will be used."""
    why_vocabulary: str
    own_tokenizer: bool
    """Whether a trained model brings its tokenizer."""
    median: int
    """Tokens of the document in the middle."""
    longest: int
    certain: bool
    """Whether all files were checked; otherwise tokens come from bytes."""
    exact: bool
    """Whether tokens were counted with the very tokenizer."""
    bytes: int
    """Of all files."""
    later: int = 0
    """Tokens that the further stages train on, their epochs included."""
    problem: str = ""
    """Why there is nothing to train on."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One size on this machine."""

    size: str
    """Name of the ladder, or "custom"."""
    dimensions: Dimensions
    parameters: int
    recipe: Recipe
    memory: int
    """Bytes at the peak of a step."""
    least: int
    """The same with one row at a time and activation checkpointing."""
    fit: Fit
    speed: float | None
    """Tokens a second; None when it does not fit."""
    measured: bool
    """Whether an earlier run of this size had that speed here."""
    steps: int
    seconds: float | None
    """Time of all epochs and stages."""
    ratio: float
    """Tokens per parameter."""
    checkpoint: int
    """Bytes of one checkpoint."""

    @property
    def guide(self) -> Size | None:
        """The training guide's advice."""
        return SIZES.get(self.size)

    @property
    def amount_words(self) -> str:
        """What the data will do to a model of this size."""
        if self.ratio <= 0:
            return ""
        if self.ratio >= 1:
            return f"{self.ratio:,.1f} tokens a parameter: {in_words(self.ratio)}"
        return f"{1 / self.ratio:,.0f} parameters a token: {in_words(self.ratio)}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """All sizes of the ladder."""

    rungs: tuple[Forecast, ...]
    recommended: str
    """The size that suits the data and fits; empty when none fits."""
    largest: str
    """The largest size that fits; empty when none does."""
    speeds: Mapping[str, float] = field(default_factory=dict)


def outlook(job: Job, amount: Amount, machine: Machine, runs: Sequence[Run]) -> Outlook:
    """Forecasts for the ladder."""
    speeds = measured_speeds(runs)
    flops = sustained_flops(speeds, runs, machine)
    rungs = tuple(forecast(job, size.dimensions, amount, machine, speeds, flops, continuing=False) for size in LADDER)
    fitting = [rung.size for rung in rungs if rung.fit == "fits"] or [r.size for r in rungs if r.fit == "tight"]
    wanted = recommended_size(amount.lines, amount.tokens, amount.vocabulary).name
    order = [size.name for size in LADDER]
    best = wanted if wanted in fitting else next(
        (name for name in reversed(fitting) if order.index(name) <= order.index(wanted)), ""
    )  # fmt: skip
    return Outlook(rungs, best, fitting[-1] if fitting else "", speeds)


def forecast(
    job: Job, dims: Dimensions, amount: Amount, machine: Machine, speeds: Mapping[str, float], flops: float, *,
    continuing: bool,
) -> Forecast:  # fmt: skip
    """One size."""
    recipe = resolve(job.train, facts_of(job, dims, amount, machine, continuing=continuing))
    length = recipe.sequence_length
    recompute = recipe.activation_checkpointing
    memory = training_memory(dims, amount.vocabulary, recipe.batch_size, length, recompute=recompute)
    least = training_memory(dims, amount.vocabulary, 1, length, recompute=True)
    fit: Fit = "fits"
    if least > machine.memory.total:
        fit = "too large"
    elif memory > MEMORY_SHARE * machine.memory.available:
        fit = "tight"
    tokens = recipe.batch_size * recipe.gradient_accumulation * length
    steps = max(1, math.ceil(amount.tokens / tokens)) * recipe.epochs + math.ceil(amount.later / tokens)
    name = name_of(dims)
    measured = name in speeds
    mean = LengthWarmup(length, steps, recipe.length_warmup).mean_length()
    sustained = remembered_flops(machine.device, machine.threads, dims, machine.precision) or flops
    speed = (
        speeds[name] if measured
        else tokens_per_second(dims, amount.vocabulary, mean, sustained, recompute=recompute)
    )  # fmt: skip
    parameters = dims.parameters(amount.vocabulary)
    return Forecast(
        size=name,
        dimensions=dims,
        parameters=parameters,
        recipe=recipe,
        memory=memory,
        least=least,
        fit=fit,
        speed=None if fit == "too large" else speed,
        measured=measured,
        steps=steps,
        seconds=None if fit == "too large" else (amount.tokens * recipe.epochs + amount.later) / speed,
        ratio=amount.tokens / parameters,
        checkpoint=checkpoint_bytes(dims, amount.vocabulary),
    )


def facts_of(job: Job, dims: Dimensions, amount: Amount, machine: Machine, *, continuing: bool) -> Facts:
    """What the recipe's numbers depend on, as far as it is known before the data are read."""
    epochs, why_epochs = decide_epochs(job.train, max(1, amount.tokens), dims.parameters(amount.vocabulary))
    return Facts(
        dims=dims,
        vocabulary=amount.vocabulary,
        tokens_per_epoch=max(1, amount.tokens),
        epochs=epochs,
        why_epochs=why_epochs,
        median_document=amount.median,
        longest_document=amount.longest,
        continuing=continuing,
        grown=job.train.method == "grow",
        device=machine.device,
        memory=machine.memory,
    )


def measured_speeds(runs: Sequence[Run]) -> dict[str, float]:
    """Tokens a second by size, from the newest run that trained at all."""
    speeds: dict[str, float] = {}
    for run in runs:
        speed = run.state.tokens_per_second
        if run.state.size in SIZES and speed is not None and speed > 0 and run.state.step >= 5:
            speeds.setdefault(run.state.size, speed)
    return speeds


def sustained_flops(speeds: Mapping[str, float], runs: Sequence[Run], machine: Machine) -> float:
    """Operations a second that training reaches here: from earlier runs if there are any."""
    found = []
    for name, speed in speeds.items():
        dims = SIZES[name].dimensions
        parameters = next(run.state.parameters for run in runs if run.state.size == name)
        vocabulary = max(0, parameters - dims.non_embedding_parameters()) // dims.dim
        found.append(speed * dims.flops_per_token(vocabulary, 512))
    return statistics.median(found) if found else machine.flops


def middle_of(histogram: Sequence[Bar]) -> tuple[int, int]:
    """About the median and the longest length in a histogram of powers of two."""
    total = sum(bar.documents for bar in histogram)
    seen = 0
    median = 0
    for bar in histogram:
        seen += bar.documents
        if not median and seen * 2 >= total and bar.documents:
            median = round(math.sqrt(bar.low * bar.high))
    return median, histogram[-1].high if histogram else 0


def auto_values(job: Job, forecast: Forecast, amount: Amount, machine: Machine) -> dict[str, tuple[str, str]]:
    """What each "auto" of the schema would be in this job, and why; keys like "train.learning_rate"."""
    continuing = forecast.recipe.why.get("train.weight_decay", "").startswith("none while continuing")
    facts = facts_of(job, forecast.dimensions, amount, machine, continuing=continuing)
    values: dict[str, tuple[str, str]] = {}
    for name in LEFT_OPEN:
        # One at a time: what the other keys say counts as it will in the run.
        train = replace(job.train, **{name: "auto"})  # type: ignore[arg-type]
        recipe = resolve(train, facts)
        values[f"train.{name}"] = (shown(getattr(recipe, name)), recipe.why.get(f"train.{name}", ""))
    values["train.mixed_precision"] = (machine.precision, machine.why_precision)
    values["train.device"] = (machine.device, _why_device(machine))
    values["train.threads"] = (str(machine.threads), f"{machine.threads} physical cores may be used")
    values["train.checkpoint_budget"] = ("no limit", "but what is free on the disk")
    values["train.compile"] = ("where it pays", "long runs in 16 bits")
    values["train.preset"] = ("ours", "the values beside each key; classic takes the training guide's")
    values["model.vocabulary"] = (f"{amount.vocabulary:,}", amount.why_vocabulary)
    values["data.format"] = ("look", "each file is looked at")
    rate = forecast.recipe.learning_rate
    for index, stage in enumerate(job.stage):
        if stage.learning_rate == "auto":
            values[f"stage.{index}.learning_rate"] = (shown(rate / 2), "half of the first stage's")
    return values


def _why_device(machine: Machine) -> str:
    if not machine.probed:
        return "the machine is being looked at"
    return "no GPU is there" if machine.device == "cpu" else f"{machine.name} is there"


def shown(value: object) -> str:
    """A value as the form shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def job_forecast(
    job: Job, amount: Amount, machine: Machine, runs: Sequence[Run], present: Dimensions | None
) -> Forecast:
    """The forecast of the job itself.

    Args:
        job: As in forge.toml.
        amount: Its data.
        machine: Where it would run.
        runs: Earlier runs, newest first.
        present: The dimensions of the model of this name, if there is one.
    """
    goes_on = present is not None and job.train.method == "train"
    dims = present if goes_on and present is not None else dimensions_of(job.model.size)
    speeds = measured_speeds(runs)
    flops = sustained_flops(speeds, runs, machine)
    return forecast(job, dims, amount, machine, speeds, flops, continuing=goes_on)
