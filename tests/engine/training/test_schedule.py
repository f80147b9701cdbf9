"""The learning rate's trace: near 0 first, the peak at the end of warm-up, the floor last, for any split."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from engine.training.schedule import FLOOR, Schedule

sizes = st.tuples(st.integers(3, 5000), st.integers(1, 400)).filter(lambda pair: pair[1] < pair[0] - 1)


@given(sizes, st.floats(1e-6, 1.0))
def test_the_trace_has_its_landmarks(size: tuple[int, int], peak: float) -> None:
    steps, warmup = size
    schedule = Schedule(peak, steps, warmup)
    trace = [schedule(step) for step in range(steps)]
    assert trace[0] <= peak / warmup * (1 + 1e-12)
    assert trace[warmup - 1] == peak == max(trace)
    assert abs(trace[-1] - FLOOR * peak) < 1e-12
    assert all(rate > 0 for rate in trace)
    falling = trace[warmup - 1 :]
    assert all(a >= b for a, b in itertools.pairwise(falling))


@given(st.integers(1, 50), st.integers(1, 80))
def test_no_schedule_is_too_short(steps: int, warmup: int) -> None:
    schedule = Schedule(1.0, steps, warmup)
    assert all(0 < schedule(step) <= 1.0 for step in range(steps))
    if steps >= 2:
        assert schedule(steps - 1) <= schedule(max(0, steps - 2)) or warmup >= steps
