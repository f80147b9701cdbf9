"""The machine as a job would use it: precision, and the speed that is expected before anything was trained."""

from __future__ import annotations

import pytest

from engine.job import TrainSection
from forge_tui.machine_facts import machine_of

FOUND = {"torch": "2", "threads": 2, "devices": [], "mps": False, "gflops": 100.0, "gflops_bf16": 600.0}


@pytest.mark.parametrize(
    ("native", "asked", "precision", "flops"),
    [
        (True, "auto", "bf16", 0.35 * 600e9 * 2),
        (True, "fp32", "fp32", 0.5 * 100e9 * 2),
        (True, False, "fp32", 0.5 * 100e9 * 2),
        (False, "auto", "fp32", 0.5 * 100e9 * 2),
    ],
)
def test_a_processor_with_bfloat16_is_expected_to_be_as_fast_as_its_products_in_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, asked: str | bool, precision: str, flops: float
) -> None:
    monkeypatch.setattr("engine.processor.cpu_does_bf16", lambda: native)
    train = TrainSection(threads=4, mixed_precision=asked)  # type: ignore[arg-type]
    machine = machine_of(FOUND, train)
    assert machine.precision == precision and machine.flops == pytest.approx(flops)
    guess = machine_of(None, train)
    assert guess.flops == pytest.approx(4 * (6e10 if precision == "bf16" else 2e10))
    assert ("natively" in guess.why_precision) is (precision == "bf16")
