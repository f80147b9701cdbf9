"""The plan of a run as it is shown before it begins: counts, memory, time; and the word when it cannot be done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import OutOfMemoryError
from engine.estimate import (
    MEMORY_SHARE,
    checkpoint_bytes,
    machine_flops,
    tokens_per_second,
    training_memory,
)
from engine.events import Plan, StagePlan
from engine.sizes import SIZES, name_of
from engine.speeds import remembered_flops

if TYPE_CHECKING:
    from engine.job import Job
    from engine.model.architecture import Architecture
    from engine.runs.launch import Request
    from engine.text.dataset import Corpus
    from engine.training.course import Course
    from engine.training.devices import Placement
    from engine.training.recipe import Facts, Recipe


def expected_seconds(facts: Facts, recipe: Recipe, placement: Placement, course: Course) -> float | None:
    """What a whole run should take; None when nothing is known of this device."""
    flops = remembered_flops(placement.device, placement.threads, facts.dims, placement.precision)
    if flops is None and placement.device == "cpu":
        flops = machine_flops(placement.threads, placement.precision)
    if not flops:
        return None
    tokens = sum(stage.tokens for stage in course.stages)
    recompute = recipe.activation_checkpointing
    length = course.mean_length()
    return tokens / tokens_per_second(facts.dims, facts.vocabulary, length, flops, recompute=recompute)


def plan_of(
    settled: Job,
    why: dict[str, str],
    request: Request,
    facts: Facts,
    recipe: Recipe,
    placement: Placement,
    course: Course,
    corpora: list[Corpus],
    architecture: Architecture,
) -> Plan:
    """The plan of a run whose every "auto" is settled."""
    from engine.job_file import to_table

    dims, vocabulary = facts.dims, facts.vocabulary
    return Plan(
        job=to_table(settled),
        why=why,
        model=settled.model.name,
        size=name_of(dims),
        parameters=architecture.parameters(),
        vocabulary=vocabulary,
        documents=sum(corpus.train_documents for corpus in corpora),
        validation_documents=sum(corpus.validation_documents for corpus in corpora),
        tokens=sum(corpus.train_tokens for corpus in corpora),
        text_bytes=sum(corpus.train_bytes for corpus in corpora),
        steps=course.steps,
        epochs=math.ceil(course.epochs),
        stages=[
            StagePlan(
                name=stage.name,
                epochs=math.ceil(stage.passes),
                steps=stage.steps,
                tokens_per_epoch=stage.corpus.train_tokens,
                documents=stage.corpus.train_documents,
                learning_rate=stage.learning_rate,
            )
            for stage in course.stages
        ],
        device=placement.device,
        precision=placement.precision,
        threads=placement.threads,
        memory_bytes=training_memory(
            dims,
            vocabulary,
            recipe.batch_size,
            recipe.sequence_length,
            recompute=recipe.activation_checkpointing,
        ),
        checkpoint_bytes=checkpoint_bytes(dims, vocabulary),
        seconds=expected_seconds(facts, recipe, placement, course),
        fingerprint=request.fingerprint,
    )


def refuse_impossible(plan: Plan, facts: Facts) -> None:
    """Say before anything is built when even a micro-batch of one row cannot fit.

    Raises:
        OutOfMemoryError: it cannot; with the largest size that does.
    """
    if facts.device != "cpu":
        return
    length = int(plan.job["train"]["sequence_length"])
    least = training_memory(facts.dims, facts.vocabulary, 1, length, recompute=True)
    if least <= facts.memory.total:
        return
    fitting = [
        name
        for name, size in SIZES.items()
        if training_memory(size.dimensions, facts.vocabulary, 1, length) < MEMORY_SHARE * facts.memory.available
    ]
    raise OutOfMemoryError(
        f"{plan.size} needs at least {least / 1e9:.1f} GB to train; here are {facts.memory.total / 1e9:.1f} GB.",
        fix=f"The largest size that fits is {fitting[-1]}." if fitting else "No size fits at this sequence_length.",
    )
