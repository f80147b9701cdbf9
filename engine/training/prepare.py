"""From a request to a plan: read the data, settle the tokenizer, decide every "auto", and write job.toml."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.durations import parse_duration
from engine.errors import ForgeError
from engine.estimate import machine_memory
from engine.events import Log, Plan
from engine.files import write_atomic
from engine.job import Job
from engine.job_file import dump_job, load_job, read_toml_text
from engine.project import Project
from engine.runs.launch import Request
from engine.sizes import Dimensions, dimensions_of
from engine.training.checking import check_data
from engine.training.compiling import decide
from engine.training.course import Course, CourseStage
from engine.training.devices import Placement, place
from engine.training.planning import expected_seconds, plan_of, refuse_impossible
from engine.training.reading import has_conversations, read_corpora, settle_tokenizer
from engine.training.recipe import Facts, Recipe, decide_epochs, resolve
from engine.training.search import MOST_SECONDS, TIME_SHARE, questions, search
from engine.training.start import first_decoder

if TYPE_CHECKING:
    from engine.model.architecture import Architecture
    from engine.model.info import ModelInfo
    from engine.runs.channel import Reporter
    from engine.text.dataset import Corpus
    from engine.text.tokenizer import Tokenizer

JOB = "job.toml"


@dataclass(slots=True)
class Prepared:
    """Everything that is decided before the first step."""

    run: Path
    project: Project
    request: Request
    job: Job
    """With no "auto" left."""
    recipe: Recipe
    placement: Placement
    tokenizer: Tokenizer
    architecture: Architecture
    """Of the model that is trained (after growing, if that is the method)."""
    start: ModelInfo | None
    """The published model that training starts from; None for a new one."""
    course: Course
    plan: Plan
    conversation: bool
    """Whether the data hold conversations, so that a prompt is a question; else it is the beginning of a text."""


def prepare_run(run: Path, project: Project, request: Request, reporter: Reporter, *, trials: bool = True) -> Prepared:
    """Settle everything about a run; the second time (on resume) the first decisions are read back from job.toml.

    Args:
        run: Its folder.
        project: Where the data and the model are.
        request: What was asked for.
        reporter: Told of what takes long.
        trials: Whether numbers may be found by training for a while; else the rules' stand in for them.

    Raises:
        DataError: the data cannot be used.
        OutOfMemoryError: the model cannot fit into this machine.
        Interrupted: somebody wants to stop while something is tried out.
    """
    from engine.model.info import read_model

    asked = request.job
    folder = project.model(asked.model.name)
    start = read_model(folder) if asked.train.method != "build" and (folder / "config.json").exists() else None
    resumed = (run / JOB).exists()
    if not resumed:
        check_data(project, asked, reporter, force=request.force)
    job = load_job(run / JOB) if resumed else asked
    stored = _stored(run)
    job = replace(job, model=replace(job.model, name=asked.model.name))  # a rename may have come between
    tokenizer = settle_tokenizer(run, project, job, start, reporter)
    dims = (
        dimensions_of(job.model.size)
        if start is None or asked.train.method == "grow"
        else start.architecture.dimensions
    )
    placement = place(job.train)
    corpora = read_corpora(project, job, tokenizer, reporter)
    facts = _facts(job, corpora[0], dims, tokenizer.vocabulary, start, placement)
    recipe = _as_it_began(stored, resolve(job.train, facts))
    architecture = _architecture(dims, tokenizer.vocabulary, start, recipe.sequence_length)
    course = _course(job, corpora, recipe, _stored_limits(stored))
    rules = recipe
    if not resumed:
        recipe = _searched(
            run, request, job, facts, recipe, course, architecture, placement, start, reporter, trials=trials
        )
        if recipe is not rules:
            course = _course(job, corpora, recipe, [])
    compiled, why_compiled = _compiled(request, job, facts, recipe, placement, course, resumed=resumed)
    if asked.train.max_time and not resumed:
        recipe, course = _in_time(
            request,
            job,
            corpora,
            facts,
            recipe,
            course,
            architecture,
            placement,
            reporter,
            searched=recipe is not rules,
            compiled=compiled,
        )
    settled = _settled(job, recipe, placement, tokenizer, course, compiled=compiled)
    why = dict(stored.get("why", {})) if resumed else _why(job, recipe, placement, tokenizer, corpora)
    why.setdefault("train.compile", why_compiled)
    plan = plan_of(settled, why, request, facts, recipe, placement, course, corpora, architecture)
    refuse_impossible(plan, facts)
    if not resumed:
        resolved = {
            "steps": course.steps,
            "parameters": plan.parameters,
            "rows_per_step": course.stages[0].rows_per_step,
            "stage_steps": [stage.steps for stage in course.stages],
            "embedding_share": recipe.embedding_share,
        }
        write_atomic(run / JOB, dump_job(settled, why, resolved).encode())
    return Prepared(
        run=run,
        project=project,
        request=request,
        job=settled,
        recipe=recipe,
        placement=placement,
        tokenizer=tokenizer,
        architecture=architecture,
        start=start,
        course=course,
        plan=plan,
        conversation=has_conversations(project, job),
    )


# ---- decisions


def _searched(
    run: Path,
    request: Request,
    job: Job,
    facts: Facts,
    recipe: Recipe,
    course: Course,
    architecture: Architecture,
    placement: Placement,
    start: ModelInfo | None,
    reporter: Reporter,
    *,
    trials: bool,
) -> Recipe:
    """The recipe with the numbers that are found by trying; where that is not to be, it says what will be tried."""
    wanted = questions(job.train, facts, recipe, course.steps)
    if not wanted:
        return recipe
    if not trials:
        undecided = {f"train.{key}": f"{recipe.why[f'train.{key}']}; trials decide" for key in wanted}
        return replace(recipe, why=recipe.why | undecided)
    from engine.training.trials import Trials

    tried = Trials(
        run,
        course,
        recipe,
        architecture,
        placement,
        lambda: first_decoder(job, architecture, start, placement.device, reporter),
        clip=job.train.gradient_clip,
        reporter=reporter,
        seconds=_seconds_for_trials(request, job),
    )
    return search(wanted, job.train, facts, recipe, tried, reporter)


def _seconds_for_trials(request: Request, job: Job) -> float:
    if not job.train.max_time:
        return MOST_SECONDS
    return min(MOST_SECONDS, TIME_SHARE * _seconds_left(request, job))


def _seconds_left(request: Request, job: Job) -> float:
    """Of train.max_time, counted from the moment when the run was asked for."""
    return parse_duration(job.train.max_time) - max(0.0, time.time() - request.created)


def _facts(
    job: Job, corpus: Corpus, dims: Dimensions, vocabulary: int, start: ModelInfo | None, placement: Placement
) -> Facts:
    epochs, why_epochs = decide_epochs(job.train, corpus.train_tokens, dims.parameters(vocabulary))
    return Facts(
        dims=dims,
        vocabulary=vocabulary,
        tokens_per_epoch=corpus.train_tokens,
        epochs=epochs,
        why_epochs=why_epochs,
        median_document=corpus.median_document,
        longest_document=corpus.max_document,
        continuing=start is not None and job.train.method == "train",
        grown=start is not None and job.train.method == "grow",
        device=placement.device,
        memory=machine_memory(),
    )


def _course(job: Job, corpora: list[Corpus], recipe: Recipe, limits: list[int]) -> Course:
    def stage(name: str, corpus: Corpus, epochs: int, rate: float) -> CourseStage:
        return CourseStage(
            limit=limits[len(stages)] if limits else 0,
            name=name,
            corpus=corpus,
            epochs=epochs,
            learning_rate=rate,
            rows_per_step=recipe.batch_size * recipe.gradient_accumulation,
            sequence_length=recipe.sequence_length,
            seed=job.train.seed,
            warmup=recipe.warmup,
            length_warmup=0.0 if stages else recipe.length_warmup,  # later stages go on with a model that can read
            split=0.0 if stages else recipe.bpe_dropout,
            prompt_weight=recipe.prompt_weight,
        )

    stages: list[CourseStage] = []
    stages.append(stage("main", corpora[0], recipe.epochs, recipe.learning_rate))
    for entry, corpus in zip(job.stage, corpora[1:], strict=True):
        rate = recipe.learning_rate / 2 if entry.learning_rate == "auto" else entry.learning_rate
        stages.append(stage(entry.name, corpus, entry.epochs, rate))
    return Course(stages)


def _in_time(
    request: Request,
    job: Job,
    corpora: list[Corpus],
    facts: Facts,
    recipe: Recipe,
    course: Course,
    architecture: Architecture,
    placement: Placement,
    reporter: Reporter,
    *,
    searched: bool,
    compiled: bool,
) -> tuple[Recipe, Course]:
    """Recipe and course that end within train.max_time, counted from the moment when the run was asked for.

    Raises:
        UsageError: there is no time for a single step.
    """
    from engine.training.in_time import Planner
    from engine.training.rehearsal import seconds_per_step

    reporter(Log(text=f"Measuring how fast a step is, to end within {job.train.max_time}."))
    plan = Planner(
        replace(job.train, compile=compiled),  # so that a compiled run keeps to one length of rows
        facts,
        course_of=lambda recipe, limits: _course(job, corpora, recipe, limits),
        seconds_per_step=lambda recipe, course: seconds_per_step(
            _seconds_left(request, job), course, recipe, architecture, placement, reporter, compiled
        ),
        seconds_left=lambda: _seconds_left(request, job),
        keep_shape=searched,
        compiled=compiled,
    )
    return plan(recipe, expected_seconds(facts, recipe, placement, course))


def _architecture(dims: Dimensions, vocabulary: int, start: ModelInfo | None, length: int) -> Architecture:
    from engine.model.architecture import Architecture

    if start is None:
        return Architecture.of(dims, vocabulary, length)
    present = start.architecture
    if dims != present.dimensions:
        from engine.model.grow import check_growth, grown_architecture

        check_growth(present, dims)
        present = grown_architecture(present, dims)
    return replace(present, context=max(present.context, length))


def _compiled(
    request: Request, job: Job, facts: Facts, recipe: Recipe, placement: Placement, course: Course, *, resumed: bool
) -> tuple[bool, str]:
    """Whether the step is compiled, and why; a run that has begun keeps to it, as it changes the last bits."""
    if resumed and job.train.compile == "auto":
        return False, "the run began without it"
    if recipe.length_warmup and job.train.compile == "auto":
        return False, "rows have several lengths, a compiled step has one"
    seconds = expected_seconds(facts, recipe, placement, course)
    if job.train.max_time and seconds is not None:
        seconds = min(seconds, _seconds_left(request, job))
    return decide(job.train.compile, placement, seconds)


def _settled(
    job: Job, recipe: Recipe, placement: Placement, tokenizer: Tokenizer, course: Course, *, compiled: bool
) -> Job:
    train = replace(
        job.train,
        epochs=recipe.epochs,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        gradient_accumulation=recipe.gradient_accumulation,
        sequence_length=recipe.sequence_length,
        weight_decay=recipe.weight_decay,
        average=recipe.average,
        warmup=recipe.warmup,
        length_warmup=recipe.length_warmup,
        bpe_dropout=recipe.bpe_dropout,
        save_every=recipe.save_every,
        prompt_weight=recipe.prompt_weight,
        mixed_precision=placement.precision,
        compile=compiled,
        device=placement.device,
        threads=placement.threads,
    )
    stages = [
        replace(entry, learning_rate=stage.learning_rate)
        for entry, stage in zip(job.stage, course.stages[1:], strict=True)
    ]
    return replace(job, model=replace(job.model, vocabulary=tokenizer.vocabulary), train=train, stage=stages)


def _why(job: Job, recipe: Recipe, placement: Placement, tokenizer: Tokenizer, corpora: list[Corpus]) -> dict[str, str]:
    why = dict(recipe.why)
    why["train.mixed_precision"] = placement.why_precision
    why["train.device"] = placement.why_device
    why["train.threads"] = placement.why_threads
    why["model.vocabulary"] = (
        "as asked" if job.model.vocabulary == tokenizer.vocabulary else "from the size of the text, or the model's own"
    )
    scored = sum(len(corpus.scored) for corpus in corpora)
    held_out = sum(corpus.validation_documents for corpus in corpora)
    if scored < held_out:
        why["data.validation"] = f"as asked; each evaluation scores the same {scored:,} of these {held_out:,} documents"
    for index, entry in enumerate(job.stage):
        if entry.learning_rate == "auto":
            why[f"stage[{index}].learning_rate"] = "half of the first stage's"
    return why


def _stored_limits(stored: Mapping[str, Any]) -> list[int]:
    """The steps of each stage where a time has decided them; they are a fact of the run from then on."""
    timed = stored.get("train", {}).get("max_time")
    return [int(steps) for steps in stored.get("resolved", {}).get("stage_steps", [])] if timed else []


def _stored(run: Path) -> dict[str, Any]:
    """The tables of the run's job.toml; none before it is written."""
    import tomllib

    return tomllib.loads(read_toml_text(run / JOB)) if (run / JOB).exists() else {}


def _as_it_began(stored: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """On resume: what the recipe decides without a key of its own is as it was at the start, whatever the rules say.

    The model may have been published since, or the program changed; either would end in other weights.
    """
    train = stored.get("train", {})
    if stored and "length_warmup" not in train:  # begun when there was no such key
        recipe = replace(recipe, length_warmup=0.0)
    if stored and "bpe_dropout" not in train:
        recipe = replace(recipe, bpe_dropout=0.0)
    share = stored.get("resolved", {}).get("embedding_share")
    return recipe if share is None else replace(recipe, embedding_share=float(share))


def ensure_same_steps(run: Path, course: Course) -> None:
    """On resume: the course must be as long as it was at the start.

    Raises:
        ForgeError: it is not, so the checkpoint's position would mean something else.
    """
    recorded = _stored(run).get("resolved", {}).get("steps")
    if recorded is not None and recorded != course.steps:
        raise ForgeError(
            f"This run was planned with {recorded:,} steps and would now have {course.steps:,}.",
            file=run / JOB,
            fix="The data cache or this program has changed: start a new run with --force.",
        )
