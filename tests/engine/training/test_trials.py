"""Numbers that are found by trying: the search, when it is made, and that it is made once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.estimate import machine_memory
from engine.events import Control, Log, Plan, Stopped
from engine.job import TrainSection
from engine.job_file import load_job
from engine.runs.control import Command
from engine.runs.launch import read_request
from engine.sizes import dimensions_of
from engine.training.prepare import prepare_run
from engine.training.rate_search import MOST_TRIALS, RATIO, Found, search_rate
from engine.training.recipe import Facts, resolve
from engine.training.search import ASKED, questions, search
from engine.training.trials import RECORD, Trials

from .conftest import Recorder, TinyRun

Make = Callable[..., TinyRun]

# ---- the search


@settings(max_examples=200)
@given(best=st.floats(-4.0, 4.0), curvature=st.floats(0.01, 10.0))
def test_the_lowest_point_of_a_parabola_is_found(best: float, curvature: float) -> None:
    first = 0.02
    tried: list[float] = []

    def loss(rate: float) -> float:
        tried.append(rate)
        return curvature * (math.log2(rate / first) - best) ** 2

    found = search_rate(first, loss)
    assert found is not None and len(tried) == len(set(tried)) <= MOST_TRIALS
    # With six trials one can walk four steps from the first.
    assert abs(math.log2(found.rate / first) - best) < 0.05 + max(0.0, abs(best) - 3)


def test_what_diverged_is_never_chosen() -> None:
    found = search_rate(0.01, lambda rate: math.inf if rate > 0.015 else 3.0 - math.log(rate))
    assert found is not None and found.rate == 0.01 == found.best and found.losses[0.02] == math.inf
    found = search_rate(0.01, lambda rate: math.inf if rate > 0.007 else 3.0)
    assert found is not None and found.rate <= 0.005
    assert search_rate(0.01, lambda rate: math.nan) is None


def test_without_time_for_three_trials_nothing_is_found() -> None:
    left = iter([3.0, 2.9])
    assert search_rate(0.01, lambda rate: next(left, None)) is None


def test_when_time_ends_later_the_best_so_far_is_taken() -> None:
    losses = {0.01: 3.0, 0.02: 2.9, 0.005: 3.1}
    found = search_rate(0.01, lambda rate: losses.get(rate))
    assert found is not None and found.rate == 0.02 and found.losses == losses


# ---- when


def facts(size: str = "nano", *, device: str = "cpu", continuing: bool = False) -> Facts:
    return Facts(
        dims=dimensions_of(size), vocabulary=4096, tokens_per_epoch=4_000_000, epochs=3, median_document=60,
        longest_document=400, continuing=continuing, device=device, memory=machine_memory(),
    )  # fmt: skip


def asked(train: TrainSection, about: Facts, steps: int = 2000) -> set[str]:
    return set(questions(train, about, resolve(train, about), steps))


def test_trials_are_made_when_asked_for_and_where_the_rules_were_not_measured() -> None:
    auto = TrainSection()
    assert asked(auto, facts()) == set() == asked(auto, facts("mini"))
    assert asked(auto, facts("small")) == {"learning_rate"}
    assert asked(auto, facts("small"), steps=100) == set(), "a short run is over before its trials"
    assert asked(auto, facts("small", continuing=True)) == set(), "what is forgotten shows in no short trial"
    assert asked(replace(auto, preset="classic"), facts("small")) == set()
    assert asked(replace(auto, learning_rate=0.01), facts("small")) == set()
    assert asked(replace(auto, batch_size=64), facts()) == {"learning_rate"}
    assert "batch_size" in asked(auto, facts(device="cuda"))
    both = replace(auto, learning_rate="find", batch_size="find")
    assert asked(both, facts(), steps=10) == {"learning_rate", "batch_size"}
    assert asked(replace(both, gradient_accumulation=4), facts()) == {"learning_rate"}


def test_find_is_auto_for_the_rules() -> None:
    auto, find = TrainSection(), TrainSection(learning_rate="find", batch_size="find")
    one, other = resolve(auto, facts()), resolve(find, facts())
    assert replace(one, why={}) == replace(other, why={}) and other.optimizer == "muon"


def test_what_nobody_asked_for_is_at_most_twice_the_rule() -> None:
    class Tried:
        steps = 20

        def find_rate(self) -> Found:
            return Found(0.3, {0.02: 3.0, 0.16: 2.5, 0.32: 2.4})

    train = TrainSection()
    recipe = resolve(train, facts())
    for reason, rate in ((ASKED, 0.3), ("not measured there", 2 * recipe.learning_rate)):
        found = search({"learning_rate": reason}, train, facts(), recipe, Tried(), Recorder())  # type: ignore[arg-type]
        assert found.learning_rate == rate and found.optimizer == recipe.optimizer
        assert found.weight_decay < recipe.weight_decay or recipe.weight_decay == 0.1, "it follows the rate"


# ---- in a run

FIND = ("train.learning_rate=find", "train.batch_size=find", "train.gradient_accumulation=auto", "train.epochs=12")


def test_a_run_finds_its_numbers_once_and_keeps_them(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_run(*FIND)
    run = tiny.prepare()
    stop = Recorder(at_step={3: [Command(command="stop", by="me", value=143.0)]})
    assert tiny.train(run, stop)[0] == 143
    (planned,) = stop.of(Plan)
    assert isinstance(planned, Plan)
    settled = load_job(run / "job.toml").train
    assert isinstance(settled.learning_rate, float) and isinstance(settled.batch_size, int)
    assert planned.job["train"]["learning_rate"] == settled.learning_rate
    assert "found by trials of 20 steps (as asked); losses" in planned.why["train.learning_rate"]
    assert "found by trials" in planned.why["train.batch_size"]
    other = tiny_run(*FIND, name="other")
    rule = prepare_run(other.prepare(), other.project, read_request(other.prepare()), Recorder(), trials=False).recipe  # type: ignore[arg-type]
    assert settled.batch_size * int(settled.gradient_accumulation) == rule.batch_size * rule.gradient_accumulation
    record = json.loads((run / RECORD).read_text())
    assert len(record["losses"]) >= 3 and min(record["losses"].values()) < math.log(320)
    assert record["speeds"][str(settled.batch_size)] > 0.97 * max(record["speeds"].values()) - 1e-6
    monkeypatch.setattr(Trials, "_train", lambda *_: pytest.fail("tried again"))
    monkeypatch.setattr(Trials, "_speed", lambda *_: pytest.fail("tried again"))
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0 and recorder.of(Plan)[0].job["train"] == planned.job["train"]  # type: ignore[attr-defined]


def test_the_rate_that_is_found_is_the_better_one(tiny_run: Make) -> None:
    """From a start that is far too low the search walks up."""
    tiny = tiny_run("train.learning_rate=find", "train.epochs=12", "train.optimizer=adamw")
    run = tiny.prepare()
    assert tiny.train(run)[0] == 0
    losses = {float(rate): loss for rate, loss in json.loads((run / RECORD).read_text())["losses"].items()}
    settled = load_job(run / "job.toml").train.learning_rate
    best = min(losses, key=lambda rate: losses[rate])
    assert isinstance(settled, float) and best / RATIO < settled < best * RATIO


def test_a_stop_among_the_trials_keeps_what_was_found(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_run("train.learning_rate=find", "train.epochs=12")
    run = tiny.prepare()
    recorder = Recorder()
    train = Trials._train

    def stopping(self: Trials, rate: float) -> float | None:
        if len(self._record.losses) == 2:
            recorder.waiting += [
                Command(command="save", by="me", id="a"), Command(command="stop", by="SIGINT", value=130.0, id="b")
            ]  # fmt: skip
        return train(self, rate)

    monkeypatch.setattr(Trials, "_train", stopping)
    code, _ = tiny.train(run, recorder)
    assert code == 130 and not (run / "job.toml").exists()
    (stopped,) = recorder.of(Stopped)
    assert isinstance(stopped, Stopped) and stopped.step == 0 and stopped.exit_code == 130
    assert [(event.id, event.accepted) for event in recorder.of(Control)] == [("a", False), ("b", True)]  # type: ignore[attr-defined]
    before = json.loads((run / RECORD).read_text())["losses"]
    assert len(before) == 2
    monkeypatch.setattr(Trials, "_train", train)
    again = tiny.prepare()
    assert again == run
    code, recorder = tiny.train(run)
    after = json.loads((run / RECORD).read_text())["losses"]
    assert code == 0 and before.items() <= after.items()
    tries = [log for log in recorder.of(Log) if log.text.startswith("Trial of")]  # type: ignore[attr-defined]
    assert len(tries) == len(after) - 2


def test_trials_end_with_the_time_that_is_given(tiny_run: Make) -> None:
    tiny = tiny_run("train.learning_rate=find", "train.max_time=4s", "train.epochs=400")
    run = tiny.prepare()
    code, recorder = tiny.train(run)
    (planned,) = recorder.of(Plan)
    assert code == 0 and isinstance(planned, Plan)
    said = planned.why["train.learning_rate"]
    assert "no time for trials" in said or "found by trials" in said
    assert isinstance(planned.job["train"]["learning_rate"], float)


def test_memory_that_runs_out_ends_the_trial_of_rows(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training import trials

    real = trials.accumulate

    def short(loss, batches, *rest):  # type: ignore[no-untyped-def]
        if len(batches[0].ids) > 4:
            raise MemoryError("no more")
        return real(loss, batches, *rest)

    monkeypatch.setattr(trials, "accumulate", short)
    tiny = tiny_run("train.batch_size=find", "train.gradient_accumulation=auto", "train.epochs=12")
    run = tiny.prepare()
    prepared = tiny.settle(run)
    assert 1 <= prepared.recipe.batch_size <= 4 and prepared.recipe.gradient_accumulation > 1
    speeds = json.loads((run / RECORD).read_text())["speeds"]
    assert 0.0 in speeds.values() and max(int(rows) for rows, speed in speeds.items() if speed) <= 4


def test_a_dry_run_tries_nothing_and_says_so(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trials, "_train", lambda *_: pytest.fail("tried"))
    tiny = tiny_run("train.learning_rate=find")
    run = tiny.prepare()
    plan = prepare_run(run, tiny.project, read_request(run), Recorder(), trials=False).plan  # type: ignore[arg-type]
    assert plan.why["train.learning_rate"].endswith("; trials decide")
    assert not (run / RECORD).exists()
