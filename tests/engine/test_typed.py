from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.runs.state import RunState
from engine.typed import convert, decode_json

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
from engine.typed import convert, decode_json
from engine.events import decode
from engine.job import Job
from engine.library.about import About
from engine.model.card import ModelCard
from engine.runs.state import RunState
barrier = threading.Barrier(8)
def work():
    barrier.wait()
    for _ in range(10):
        decode_json(b'{"name": "x"}', ModelCard)
        decode_json(b'{}', About)
        decode_json(b'{"run": "a", "model": "b"}', RunState)
        convert({}, Job)
        decode(b'{"event": "log", "text": "x"}')
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_many_threads_may_meet_a_kind_for_the_first_time_at_once() -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, check=True, timeout=60)


def test_nothing_else_makes_msgspec_look_at_a_dataclass() -> None:
    alone = {ROOT / "engine" / "typed.py", ROOT / "engine" / "text" / "errand.py"}  # a process with one such thread
    words = ("msgspec.convert(", "type=")
    for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "forge_tui").rglob("*.py")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            typed = words[0] in line or ("msgspec." in line and "decode(" in line and words[1] in line)
            assert path in alone or not typed, f"{path}:{number}: use engine.typed"


def test_values_are_read_and_refused() -> None:
    assert decode_json(b'{"run": "a", "model": "b", "step": 3}', RunState).step == 3
    assert convert({"run": "a", "model": "b"}, RunState).model == "b"
    assert convert({"run": "a", "model": "b", "step": "3"}, RunState, strict=False).step == 3
    with pytest.raises(msgspec.ValidationError):
        decode_json(b'{"run": 1}', RunState)
    with pytest.raises(msgspec.DecodeError):
        decode_json(b"{", RunState)
