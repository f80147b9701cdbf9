"""What "auto" means: every number that a job leaves open is decided here, each with its reason in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args

from engine.estimate import MEMORY_SHARE, MachineMemory, training_memory
from engine.job import Open, TrainSection
from engine.sizes import Dimensions
from engine.training.length_warmup import LengthWarmup

CLASSIC = {
    "learning_rate": 1e-4,
    "batch_size": 32,
    "gradient_accumulation": 4,
    "sequence_length": 512,
    "save_every": 100,
    "weight_decay": 0.1,
    "average": 0.0,
    "warmup": 0.02,
    "length_warmup": 0.0,
    "bpe_dropout": 0.0,
    "prompt_weight": 1.0,
}
"""The numbers of the training guide (and AdamW's usual decay, which it does not name)."""
CLASSIC_EPOCHS = 30
MOST_EPOCHS = 16
MOST_TOKENS_PER_PARAMETER = 40
BETAS = (0.9, 0.99)
"""AdamW: the second moment's memory is short enough for small corpora (half-life of 69 steps)."""
FINE_TUNE_FACTOR = 0.2
"""Peak when continuing a model: 0.1 to 0.3 of the peak of pre-training keeps what it knows (arXiv 2403.08763)."""
FINE_TUNE_PROMPT_WEIGHT = 0.3
"""Weight of prompt tokens in fine-tuning: 0 to 0.5 is best for short answers (arXiv 2401.13586, 2507.07817)."""
DECAY_EPOCHS = {"muon": 2.5, "adamw": 3.2}
"""Epochs after which decay alone would leave 1/e of a weight (while the learning rate is at its peak), times the power
DECAY_EXPONENT of the run's number of epochs: the more often a text is seen, the more of it is memorised."""
DECAY_EXPONENT = -0.4
AVERAGE_EPOCHS = 0.5
"""Half-life of the averaged weights, in epochs."""
AVERAGE_SHARE = 0.04
"""The same at most, as a share of the run: the average must not lag behind where the learning rate falls to zero."""
EMBEDDING_SHARE = 1.5
"""Of Muon's rate, what the embeddings (AdamW's) take where data are seen once."""
FINE_TUNE_EMBEDDING_SHARE = 0.5
"""The same at most, where a model goes on."""
LENGTH_WARMUP = 0.7
"""Share of the steps that read their rows in pieces."""
BPE_DROPOUT = 0.1
"""Share of the tokens that are split where data are seen often."""
OFTEN = 6
"""Epochs from which on that is."""
MOST_TOKENS_TO_SPLIT = 50_000_000
"""In an epoch: an epoch's split tokens are kept in memory, three bytes each."""
HARDLY_REPEATED = 2
"""Epochs up to which data count as new."""
TARGET_STEPS = 1200
"""Optimizer steps that a run should have at least, where the data allow it."""
LEAST_TOKENS_PER_WIDTH = 8
"""Tokens a step, for each number in the width of the model, below which Muon's work would slow a processor down."""
EVALUATE_STEPS = 1000
"""Steps within an epoch after which there is an evaluation as well as at its end."""
DROPOUT = "none: averaged weights and strong decay do more against overfitting (measured), and cost no speed"
EVALUATION = f"at the end of each epoch and every {EVALUATE_STEPS:,} steps within one"

OPEN = get_args(Open)
"""Values that leave a number open."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the numbers depend on."""

    dims: Dimensions
    vocabulary: int
    tokens_per_epoch: int
    """Training tokens of the first stage's data."""
    epochs: int
    """As asked, or as `decide_epochs` says."""
    median_document: int
    """Tokens."""
    longest_document: int
    """Tokens."""
    continuing: bool
    """Whether a trained model goes on, rather than one from scratch."""
    device: str
    memory: MachineMemory
    grown: bool = False
    """Whether the weights come from a trained model that was smaller."""
    why_epochs: str = ""
    """Where they are not simply as asked."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every number decided."""

    epochs: int
    optimizer: Literal["muon", "adamw"]
    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    sequence_length: int
    weight_decay: float
    average: float
    """Half-life of the averaged weights in epochs; 0 for none."""
    warmup: float
    length_warmup: float
    """Share of the steps that read their rows in pieces."""
    bpe_dropout: float
    """Probability with which a token is split into what it was merged from."""
    save_every: int
    prompt_weight: float
    embedding_share: float = 1.0
    """With Muon: the rate of embeddings and norms (AdamW's) as a share of the matrices' rate."""
    activation_checkpointing: bool = False
    """Whether activations are recomputed in the backward pass from the first step on."""
    why: dict[str, str] = field(default_factory=dict)
    """For each of the numbers above (as "train.learning_rate"), the reason; and for what is no key of a job."""


def decide_epochs(train: TrainSection, tokens_per_epoch: int, parameters: int) -> tuple[int, str]:
    """Passes over the data and the reason: as many as asked, or as teach a model of this size something.

    More than some 16 passes teach nothing new (the value of a repeated token fades with a half-life of about 15
    epochs, arXiv 2305.16264), nor do more than 40 tokens a parameter (twice the compute-optimal 20, arXiv 2203.15556).
    """
    if train.epochs != "auto":
        return train.epochs, "as asked"
    if train.preset == "classic":
        return CLASSIC_EPOCHS, "the training guide's number (preset classic)"
    enough = math.ceil(MOST_TOKENS_PER_PARAMETER * parameters / max(1, tokens_per_epoch))
    epochs = max(1, min(MOST_EPOCHS, enough))
    reason = (
        f"{MOST_TOKENS_PER_PARAMETER} tokens a parameter"
        if enough <= MOST_EPOCHS
        else "more passes over so little text teach nothing new"
    )
    return epochs, reason


SHAPE = ("optimizer", "learning_rate", "batch_size", "gradient_accumulation")
"""What shapes a step; the rest depends on it."""


def resolve_around(train: TrainSection, facts: Facts, shape: Mapping[str, object], why: Mapping[str, str]) -> Recipe:
    """Decide everything but the numbers of SHAPE once more; these are given, and their reasons stay."""
    again = resolve(replace(train, **shape), facts)  # type: ignore[arg-type]
    return replace(again, why=again.why | {f"train.{name}": why[f"train.{name}"] for name in shape})


def resolve(train: TrainSection, facts: Facts) -> Recipe:
    """Decide every "auto" of a job, in an order in which each may build on those before."""
    choose = _Chooser(train)
    choose.why["train.epochs"] = facts.why_epochs or "as asked"
    length = choose("sequence_length", *_sequence_length(facts))
    rows, why_rows = _rows_per_step(facts, length)
    accumulation_given = train.gradient_accumulation != "auto" or train.preset == "classic"
    asked = train.gradient_accumulation if isinstance(train.gradient_accumulation, int) else None
    share = max(1, rows // (asked or (4 if accumulation_given else 1)))
    micro, why_micro = _fitting_rows(facts, share, length)
    batch = choose("batch_size", micro, why_rows + why_micro)
    recompute, choose.why["activation checkpointing"] = _recompute(facts, batch, length)
    accumulation = choose(
        "gradient_accumulation",
        max(1, round(rows / batch)),
        "the whole step fits in memory at once" if batch >= rows else f"{rows} rows a step in pieces of {batch}",
    )
    rule, why_rule = _optimizer(train)
    rate = choose("learning_rate", *_learning_rate(facts, rule, batch * accumulation * length))
    steps = max(1, math.ceil(facts.tokens_per_epoch / (batch * accumulation * length))) * facts.epochs
    decay = choose("weight_decay", *_weight_decay(facts, rule, rate, batch * accumulation * length))
    choose.why["train.optimizer"] = why_rule
    share_of_rate, why_share = _embedding_share(facts)
    if rule == "muon":
        choose.why["the embeddings' rate"] = why_share
    average = choose("average", *_average(facts))
    warmup = choose("warmup", *_warmup(facts, rule, steps))
    pieces = choose("length_warmup", *_length_warmup(train, facts, length))
    split = choose("bpe_dropout", *_bpe_dropout(facts))
    every = choose("save_every", *_save_every(facts))
    prompt = choose("prompt_weight", *_prompt_weight(facts))
    choose.why |= {
        "train.gradient_clip": "the usual norm" if train.gradient_clip == 1.0 else "as asked",
        "train.early_stop": "as asked" if train.early_stop else "never: the best step is published, whichever it is",
        "dropout": DROPOUT,
        "evaluation": EVALUATION,
    }
    return Recipe(
        epochs=facts.epochs,
        optimizer=rule,
        learning_rate=rate,
        batch_size=batch,
        gradient_accumulation=accumulation,
        sequence_length=length,
        weight_decay=decay,
        average=average,
        warmup=warmup,
        length_warmup=pieces,
        bpe_dropout=split,
        save_every=every,
        prompt_weight=prompt,
        embedding_share=share_of_rate,
        activation_checkpointing=recompute,
        why=choose.why,
    )


class _Chooser:
    """Takes the user's number where there is one, the classic one where the preset says so, else ours."""

    def __init__(self, train: TrainSection) -> None:
        self._train = train
        self.why: dict[str, str] = {}

    def __call__(self, key: str, ours: Number, reason: str) -> Number:
        given = getattr(self._train, key)
        if given not in OPEN:
            self.why[f"train.{key}"] = "as asked"
            return type(ours)(given)
        if self._train.preset == "classic" and given == "auto":
            self.why[f"train.{key}"] = "the training guide's number (preset classic)"
            return type(ours)(CLASSIC[key])
        self.why[f"train.{key}"] = reason
        return ours


def _sequence_length(facts: Facts) -> tuple[int, str]:
    wanted = max(facts.median_document * 2, min(facts.longest_document, 256))
    length = min(512, max(128, 2 ** math.ceil(math.log2(max(2, wanted)))))
    return length, f"documents have {facts.median_document} tokens in the middle, {facts.longest_document} at most"


def _rows_per_step(facts: Facts, length: int) -> tuple[int, str]:
    """Small steps learn more from each token until the device idles (arXiv 2507.07101), or until Muon costs too much.

    Muon's work a step grows with the cube of the width, the rest with its square and the tokens: at least eight tokens
    for each number of the width keep Muon at about a sixth of the step.
    """
    most = 65536 if facts.device != "cpu" else 4096
    least = min(most, max(1024, LEAST_TOKENS_PER_WIDTH * facts.dims.dim)) if facts.device == "cpu" else 4096
    wanted = facts.tokens_per_epoch * facts.epochs / TARGET_STEPS
    tokens = min(most, max(least, 2 ** round(math.log2(max(2.0, wanted)))))
    rows = max(1, tokens // length)
    return (
        rows,
        f"about {rows * length:,} tokens a step: at least {TARGET_STEPS:,} steps, small steps learn more a token",
    )


def _fitting_rows(facts: Facts, rows: int, length: int) -> tuple[int, str]:
    """The largest micro-batch, halving from `rows`, whose peak stays below 85 % of what is free."""
    if facts.device != "cpu":
        return rows, ""
    budget = MEMORY_SHARE * facts.memory.available
    micro = rows
    while micro > 1 and training_memory(facts.dims, facts.vocabulary, micro, length) > budget:
        micro //= 2
    return micro, "" if micro == rows else f"; halved to {micro} so that it fits in {budget / 1e9:.1f} GB"


def _recompute(facts: Facts, rows: int, length: int) -> tuple[bool, str]:
    """Only where even one row is too large: it costs a third more time, smaller micro-batches cost nearly nothing."""
    budget = MEMORY_SHARE * facts.memory.available
    one_row = training_memory(facts.dims, facts.vocabulary, 1, length)
    if facts.device == "cpu" and rows == 1 and one_row > budget:
        return True, f"yes: one row's activations do not fit in {budget / 1e9:.1f} GB"
    return False, "no: activations are kept, and recomputed only when memory runs out"


def _optimizer(train: TrainSection) -> tuple[Literal["muon", "adamw"], str]:
    """Muon learns more from each token; a rate that somebody names is an AdamW rate, as everywhere else."""
    if train.optimizer != "auto":
        return train.optimizer, "as asked"
    if train.preset == "classic":
        return "adamw", "the training guide's (preset classic)"
    if train.learning_rate not in OPEN:
        return "adamw", "a learning rate is given: such rates are meant for AdamW"
    return "muon", "Muon for the matrices learns more from each token, AdamW does the rest"


def _learning_rate(facts: Facts, rule: Literal["muon", "adamw"], tokens_per_step: int) -> tuple[float, str]:
    """Measured best on real text at width 128 and 4,096 tokens a step: Muon 0.02 (any width), AdamW 3e-3 (as 1/width).

    Both follow the square root of the batch.
    """
    batch = math.sqrt(tokens_per_step / 4096)
    if rule == "muon":
        rate = min(0.04, max(0.004, 0.02 * batch))
        reason = f"0.02 for Muon at 4,096 tokens a step, scaled to {tokens_per_step:,}"
    else:
        rate = min(5e-3, max(1e-4, 3e-3 * (128 / facts.dims.dim) * batch))
        reason = f"3e-3 at width 128 and 4,096 tokens a step, scaled to width {facts.dims.dim} and {tokens_per_step:,}"
    if facts.continuing:
        return rounded(
            rate * FINE_TUNE_FACTOR
        ), f"a fifth of the rate from scratch ({rounded(rate):g}), to keep what it knows"
    return rounded(rate), reason


def _embedding_share(facts: Facts) -> tuple[float, str]:
    """Fast embeddings learn new text sooner, and memorise repeated text.

    Measured at size nano, bits per byte: 2.4 MB of the King James Bible once, with a share of 0.25 1.456, 0.5 1.395,
    1.0 1.387, 1.5 1.381 (the first without evened lines); all of it three times, 0.5 1.157, 1.0 1.154; 200 kB of mixed
    text ten times, 0.25 1.752, 0.35 1.745, 0.5 1.749, 1.0 1.784 (the last without evened lines).
    """
    share = rounded(EMBEDDING_SHARE / math.sqrt(facts.epochs))
    if facts.continuing and share > FINE_TUNE_EMBEDDING_SHARE:
        return FINE_TUNE_EMBEDDING_SHARE, f"{FINE_TUNE_EMBEDDING_SHARE:g} of the matrices', to keep what it knows"
    times = "once" if facts.epochs == 1 else f"{facts.epochs} times"
    return share, f"{share:g} of the matrices': the data are seen {times}"


def _weight_decay(facts: Facts, rule: Literal["muon", "adamw"], rate: float, tokens_per_step: int) -> tuple[float, str]:
    """Strong when data are repeated: the time over which weights average is held at about an epoch (arXiv 2509.14786).

    Measured with Muon and averaged weights at size nano, bits per byte; best and last: 60,000 tokens seen 12 times, 2.0
    epochs 1.723, 0.7 epochs 1.716, 0.35 epochs 1.756 (still falling); 60,000 other tokens seen 10 times, 1.1 epochs
    1.598, 0.7 epochs 1.603; 160,000 seen 8 times, 6 epochs 1.291 and 1.348, 2.2 epochs 1.263 and 1.283, 1.1 epochs
    1.245 and 1.248, 0.7 epochs 1.260 twice; a million seen 3 times, 3.7 epochs 1.142, 1.5 epochs 1.141, 0.7 epochs
    1.149; seen 6 times, 2.9 epochs 1.108 and 1.116, 7 times, 1.8 epochs 1.111 and 1.119, 0.7 epochs 1.105 twice;
    475,000 seen 7 times, 1.3 epochs 1.211 and 1.213, 0.8 epochs 1.213.
    """
    if facts.continuing:
        return 0.0, "none while continuing: decay pulls towards zero, which forgets"
    if facts.epochs <= HARDLY_REPEATED:
        return 0.1, "the usual one: the data are hardly repeated"
    tokens = max(1, facts.tokens_per_epoch)
    span = DECAY_EPOCHS[rule] * facts.epochs**DECAY_EXPONENT
    decay = tokens_per_step / (rate * tokens * span)
    decay = min(3.2, max(0.02, decay))
    return rounded(decay), f"strong, as the data are seen {facts.epochs} times: weights last about {span:.2g} epochs"


def _average(facts: Facts) -> tuple[float, str]:
    """Measured on 60,000 tokens seen 12 times: 0.07 bits per byte better than the best single step."""
    half_life = min(AVERAGE_EPOCHS, AVERAGE_SHARE * facts.epochs)
    return rounded(half_life), f"the weights are averaged with a half-life of {rounded(half_life):g} epochs"


def _warmup(facts: Facts, rule: Literal["muon", "adamw"], steps: int) -> tuple[float, str]:
    """Muon's steps have their full size from the first one on: none is much better on new text, and as good elsewhere.

    Measured at size nano: the King James Bible once, 490 steps: 1.295 bits per byte without, 1.304 with 5 steps, 1.312
    with 20; seen ten times, 200 kB of mixed text 1.763 without and 1.757 with 20, 80 kB 2.093 and 2.099.
    """
    if rule == "muon" and not facts.continuing:
        return 0.0, "none: Muon's steps have their full size from the first one on"
    share = min(0.2, max(0.02, 20 / max(1, steps)))
    return round(share, 4), f"{max(1, round(share * steps))} steps: 2 % of the run, at least 20"


def _length_warmup(train: TrainSection, facts: Facts, length: int) -> tuple[float, str]:
    """A young model learns from what is near, and short rows are quicker (arXiv 2108.06084).

    Measured at size nano, bits per byte and seconds on one core, without and with it: 2.4 MB of the King James Bible
    once, rows of 512 tokens 1.400 in 166 s and 1.380 in 138 s, of 256 1.381 in 150 s and 1.371 in 138 s; all of it
    three times 1.149 in 680 s and 1.151 in 653 s. Short documents suffer when they are cut: questions and answers seen
    twice 1.306 and 1.309, text half of which is such, ten times, 1.746 and 1.758.
    """
    shortest, *longer = LengthWarmup(length, 1, LENGTH_WARMUP).lengths
    if not longer:
        return 0.0, "none: rows are short as they are"
    if facts.median_document < length:
        return 0.0, "none: documents are shorter than a row, and would be cut"
    if facts.continuing or facts.grown:
        return 0.0, "none: a model that goes on has learnt to read whole rows"
    if facts.epochs > HARDLY_REPEATED:
        return 0.0, f"none: it gains on new text, and the data are seen {facts.epochs} times"
    if facts.device != "cpu" or train.compile is True:
        return 0.0, "none: a compiled step has one length, and GPUs have not been measured"
    return LENGTH_WARMUP, f"rows are read in pieces of {shortest} tokens first, then of twice as many: quicker to learn"


def _bpe_dropout(facts: Facts) -> tuple[float, str]:
    """Text that is seen many times is memorised less when it never looks the same (arXiv 1910.13267, 2506.01687).

    Measured at size nano, bits per byte of chapters that neither tokenizer nor model had seen, without and with it: 200
    kB seen ten times 1.748 and 1.716, 600 kB seen eight times 1.506 and 1.486, 2.4 MB seen three times 1.252 and 1.259
    (4,096 tokens), 1.233 and 1.248 (8,192); of its own held-out text, 220 kB of mixed text ten times 1.584 and 1.564.
    A fifth instead of a tenth, seen sixteen times, 512 tokens: 200 kB of program text 2.111 and 2.090, 150 kB of short
    dialogues 2.464 and 2.475, 200 kB of the Bible 1.726 and 1.718; 165 kB of starter data twelve times 1.716 and 1.723.
    """
    if facts.continuing or facts.grown:
        return 0.0, "none: a model that goes on has learnt the tokens as they are"
    if facts.epochs < OFTEN:
        return 0.0, f"none: it gains where data are seen {OFTEN} times or more"
    if facts.tokens_per_epoch > MOST_TOKENS_TO_SPLIT:
        return 0.0, "none: an epoch's tokens are kept in memory for it, and these are too many"
    return BPE_DROPOUT, f"the data are seen {facts.epochs} times: each time a tenth of the tokens is split differently"


def _save_every(facts: Facts) -> tuple[int, str]:
    every = max(1, math.ceil(facts.epochs / 10))
    return every, "ten times in the run (and by the clock, see save_minutes)"


def _prompt_weight(facts: Facts) -> tuple[float, str]:
    if facts.continuing:
        return FINE_TUNE_PROMPT_WEIGHT, "continuing: mostly the answers, a little the questions"
    return 1.0, "from scratch: questions are text to learn from, too"


def rounded(value: float) -> float:
    """Three significant digits: what is shown is what is used."""
    return float(f"{value:.3g}")
