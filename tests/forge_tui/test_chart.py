"""The chart's data and its drawing: always finite, always the right size, whatever the run did."""

from __future__ import annotations

import math
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.events import Eval, Plan, Step
from engine.runs.digest import Digest
from forge_tui.chart import ChartOptions, Figure, Line, Scale, figure_of
from forge_tui.glyphs import ASCII, UNICODE, Glyphs
from forge_tui.widgets import loss_chart

TAGS = loss_chart._TAGS


def digest_of(losses: list[float], *, evals: int = 0) -> Digest:
    """A digest with these losses, and an evaluation after every `evals` steps."""
    digest = Digest()
    for index, loss in enumerate(losses, start=1):
        digest.update(
            Step(step=index, steps=len(losses), epoch=index / 10, loss=loss, learning_rate=0.1, grad_norm=1.0, tokens=1,
                 tokens_per_second=1.0, seq=index)
        )  # fmt: skip
        if evals and index % evals == 0:
            digest.update(Eval(step=index, epoch=index / 10, val_loss=2.0, val_bpb=1.0, train_bpb=1.0))
    return digest


def plan(tokens: int, text_bytes: int) -> Plan:
    """A plan with only what the scale needs."""
    return Plan(job={}, why={}, model="m", size="nano", parameters=1, vocabulary=1, documents=1, validation_documents=0,
                tokens=tokens, text_bytes=text_bytes, steps=1, epochs=1, stages=[], device="cpu", precision="fp32",
                threads=1, memory_bytes=1, checkpoint_bytes=1)  # fmt: skip


anything = st.floats(allow_nan=True, allow_infinity=True)
options = st.builds(
    ChartOptions, unit=st.sampled_from(["bpb", "loss"]), log=st.booleans(), smoothing=st.integers(0, 2),
    axis=st.sampled_from(["epoch", "step"]), zoom=st.integers(0, 4), behind=st.floats(0, 1),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@example([5e-324, 3.0], 0, ChartOptions(log=True), 80, 12, UNICODE)
@example([2e-313], 2, ChartOptions(log=True), 80, 12, UNICODE)
@given(st.lists(anything, max_size=60), st.integers(0, 5), options, st.integers(0, 130), st.integers(0, 45),
       st.sampled_from([UNICODE, ASCII]))  # fmt: skip
def test_any_run_is_drawn_in_exactly_the_given_size(
    losses: list[float], evals: int, option: ChartOptions, width: int, height: int, glyphs: Glyphs
) -> None:
    figure = figure_of(digest_of(losses, evals=evals), [digest_of([3.0, 2.0])], option, width, height)
    if figure is None:
        return
    assert all(math.isfinite(x) and math.isfinite(y) for line in figure.lines for x, y in line.points)
    assert figure.x[0] < figure.x[1] and figure.y[0] < figure.y[1]
    rows = loss_chart.draw(figure, width, height, glyphs)
    assert len(rows) == height
    for row in rows:
        text = "".join(piece for piece, _ in row)
        assert len(text) == width or width < 6
        assert glyphs is UNICODE or text.isascii()


def test_points_are_bounded_by_the_width() -> None:
    figure = figure_of(digest_of([3.0 + math.sin(i) for i in range(20_000)]), [], ChartOptions(smoothing=0), 80, 20)
    assert figure is not None
    assert max(len(line.points) for line in figure.lines) <= 160


def test_a_spike_is_never_lost() -> None:
    losses = [1.0] * 20_000
    losses[12_345] = 50.0
    figure = figure_of(digest_of(losses), [], ChartOptions(unit="loss", smoothing=0), 60, 20)
    assert figure is not None and max(y for line in figure.lines for _, y in line.points) == 50.0


def test_values_that_are_no_numbers_are_counted() -> None:
    figure = figure_of(digest_of([1.0, math.nan, 2.0, math.inf]), [], ChartOptions(), 80, 20)
    assert figure is not None and figure.hidden == 2


def test_nothing_to_draw_is_no_figure() -> None:
    assert figure_of(Digest(), [], ChartOptions(), 80, 20) is None
    assert figure_of(digest_of([math.nan]), [], ChartOptions(), 80, 20) is None


def test_bits_follow_the_evaluations_and_before_them_the_plan() -> None:
    assert not Scale(Digest())
    digest = Digest()
    digest.update(plan(tokens=100, text_bytes=200))
    assert Scale(digest).bits([(1, math.log(2))]) == [(1, pytest.approx(0.5))]
    digest.update(Eval(step=10, epoch=1, val_loss=4.0, val_bpb=2.0, train_bpb=2.0))
    digest.update(Eval(step=20, epoch=2, val_loss=2.0, val_bpb=2.0, train_bpb=2.0))
    assert [y for _, y in Scale(digest).bits([(1, 1.0), (10, 1.0), (15, 1.0), (20, 1.0), (30, 1.0)])] == pytest.approx(
        [0.5, 0.5, 0.75, 1.0, 1.0]
    )


def test_without_any_scale_the_unit_falls_back_to_loss() -> None:
    figure = figure_of(digest_of([3.0, 2.0, 1.0]), [], ChartOptions(unit="bpb"), 80, 20)
    assert figure is not None and figure.unit == "loss"


def test_zoom_shows_the_end_and_moves_back_but_never_out() -> None:
    digest = digest_of([1.0] * 1000)
    option = ChartOptions().zoomed(1).zoomed(1)
    figure = figure_of(digest, [], option, 80, 20)
    assert figure is not None and figure.x == (750, 1000)
    for _ in range(50):
        option = option.moved(-0.5)
    figure = figure_of(digest, [], option, 80, 20)
    assert figure is not None and figure.x[0] == pytest.approx(0, abs=1)
    assert option.zoomed(-5) == ChartOptions()


def test_log_ticks_are_round_values_at_their_logarithms() -> None:
    figure = figure_of(digest_of([100.0, 10.0, 1.0]), [], ChartOptions(unit="loss", log=True, smoothing=0), 80, 20)
    assert figure is not None
    assert all(at == pytest.approx(math.log10(float(label))) for at, label in figure.y_ticks)


def test_epoch_ticks_lie_at_the_steps_of_their_epochs() -> None:
    figure = figure_of(digest_of([1.0] * 100), [], ChartOptions(), 80, 20)
    assert figure is not None and figure.axis == "epoch"
    assert all(at == pytest.approx(float(label) * 10, abs=0.2) for at, label in figure.x_ticks)


def test_without_plotext_the_stand_in_draws() -> None:
    figure = figure_of(digest_of([3.0, 2.0, 1.0], evals=1), [], ChartOptions(unit="loss"), 60, 12)
    assert figure is not None
    with mock.patch.object(loss_chart, "_load", side_effect=ImportError("no kernel for this machine")):
        rows = loss_chart.draw(figure, 60, 12, UNICODE)
    text = "\n".join("".join(piece for piece, _ in row) for row in rows)
    assert len(rows) == 12 and UNICODE.dot in text and any(0x2800 < ord(char) < 0x2900 for char in text)


def test_train_and_validation_differ_in_shape_and_not_in_colour_alone() -> None:
    figure = Figure(
        lines=(Line("train", [(0, 1), (10, 0)]), Line("validation", [(5, 0.9)], dots=True)), x=(0, 10), y=(0, 1),
        x_ticks=((0, "0"),), y_ticks=((0, "0"),), unit="loss", axis="step",
    )  # fmt: skip
    rows = loss_chart.draw(figure, 40, 10, UNICODE)
    shapes = {tag: {char for piece, t in row for char in piece if t == tag} for row in rows for _, tag in row if tag}
    assert not shapes.get(TAGS["train"], set()) & shapes.get(TAGS["validation"], set())
