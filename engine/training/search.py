"""Which numbers of a recipe are found by trials rather than by a rule, and the recipe that has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.events import Log
from engine.training.recipe import Facts, Recipe, resolve_around

if TYPE_CHECKING:
    from engine.job import TrainSection
    from engine.runs.channel import Reporter
    from engine.training.trials import Trials

MEASURED_WIDTHS = (128, 256)
"""Of the models that the rule for the learning rate was measured on."""
MEASURED_TOKENS = (1024, 8192)
"""A step, in those measurements."""
LONG_RUN = 800
"""Steps from which trials that nobody asked for are a small part of the run."""
MOST_SECONDS = 1800.0
TIME_SHARE = 0.15
"""Of a time that is given with train.max_time, at most, for trials."""

HIGHEST = 2.0
"""Times the rule's rate, where nobody asked for trials: short ones end best with higher rates than long runs need. On
the King James Bible 20 to 80 steps want 2 to 2.5 times as much, and whole epochs end alike with the rate and twice it.
"""
ASKED = "as asked"

RATE, ROWS = "learning_rate", "batch_size"


def questions(train: TrainSection, facts: Facts, recipe: Recipe, steps: int) -> dict[str, str]:
    """The keys that trials decide, each with the reason: they are asked for, or the rule was not measured there.

    Args:
        train: What was asked.
        facts: What the rules depend on.
        recipe: What the rules say.
        steps: Of the run.
    """
    found: dict[str, str] = {}
    if train.learning_rate == "find":
        found[RATE] = ASKED
    elif train.learning_rate == "auto" and train.preset == "auto" and not facts.continuing and steps >= LONG_RUN:
        tokens = recipe.batch_size * recipe.gradient_accumulation * recipe.sequence_length
        if not MEASURED_WIDTHS[0] <= facts.dims.dim <= MEASURED_WIDTHS[1]:
            found[RATE] = f"the rule was not measured at width {facts.dims.dim}"
        elif not MEASURED_TOKENS[0] <= tokens <= MEASURED_TOKENS[1]:
            found[RATE] = f"the rule was not measured with {tokens:,} tokens a step"
    if isinstance(train.gradient_accumulation, int):
        return found  # then the rows at once follow from it
    if train.batch_size == "find":
        found[ROWS] = ASKED
    elif train.batch_size == "auto" and train.preset == "auto" and facts.device != "cpu" and steps >= LONG_RUN:
        found[ROWS] = "what fits and is fast differs from device to device"
    return found


def search(
    asked: dict[str, str], train: TrainSection, facts: Facts, recipe: Recipe, trials: Trials, report: Reporter
) -> Recipe:
    """The recipe with what trials have found, and all that depends on it decided once more.

    Args:
        asked: What `questions` said.
        train: What was asked.
        facts: What the rules depend on.
        recipe: What the rules say.
        trials: Of the run.
        report: Told what is going on.

    Raises:
        Interrupted: somebody wants to stop.
    """
    rate, why = recipe.learning_rate, dict(recipe.why)
    rows, whole = recipe.batch_size, recipe.batch_size * recipe.gradient_accumulation
    if ROWS in asked:
        report(Log(text=f"Trying how many rows at once are fastest ({asked[ROWS]})."))
        rows = trials.find_rows()
        why["train.batch_size"] = f"found by trials: the fewest rows at once that are as fast as any ({asked[ROWS]})"
        why["train.gradient_accumulation"] = f"{whole} rows a step in pieces of {rows}"
    if RATE in asked:
        report(Log(text=f"Trying learning rates for {trials.steps} steps each ({asked[RATE]})."))
        found = trials.find_rate()
        if found is None:
            text = "There was no time to try learning rates: the rule's is taken."
            report(Log(text=text, level="warning"))
            why["train.learning_rate"] += "; there was no time for trials"
        else:
            rate = found.rate if asked[RATE] == ASKED else min(found.rate, HIGHEST * rate)
            tried = ", ".join(
                f"{one:g}: {loss:.3f}" for one, loss in sorted(found.losses.items()) if math.isfinite(loss)
            )
            why["train.learning_rate"] = f"found by trials of {trials.steps} steps ({asked[RATE]}); losses {tried}"
    shape = {"optimizer": recipe.optimizer, RATE: rate, ROWS: rows, "gradient_accumulation": whole // rows}
    return resolve_around(train, facts, shape, why)
