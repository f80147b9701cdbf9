"""A real process that answers with a real (tiny) model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.model.sampling import SamplingSettings
from engine.runs.speaker import Ended, Piece, Ready, Speaker, Trouble, Word
from engine.text.conversation import Turn

QUESTION = [Turn("user", "What is a loop?")]
LIVELY = SamplingSettings(temperature=3.0, top_k=0, top_p=1.0, max_tokens=30, seed=3)


@pytest.fixture
def model(trained_template: Path) -> Path:
    return trained_template / "models" / "tiny"


@pytest.fixture
def speaker(model: Path) -> Iterator[Speaker]:
    speaker = Speaker(model, considerate=True)
    yield speaker
    speaker.close()


def hear(speaker: Speaker, kind: type[Word], seconds: float = 60.0) -> list[Word]:
    """Everything up to the first word of a kind."""
    heard: list[Word] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        heard += speaker.wait(1.0)
        if any(isinstance(word, kind) for word in heard):
            return heard
    raise AssertionError(f"no {kind.__name__}: {heard}")


@pytest.mark.slow
def test_it_loads_answers_and_is_asked_again(speaker: Speaker, model: Path) -> None:
    first = speaker.ask(QUESTION, LIVELY)
    assert speaker.busy
    heard = hear(speaker, Ended)
    ready = next(word for word in heard if isinstance(word, Ready))
    assert (ready.folder, ready.parameters, ready.context, ready.threads, ready.device) == (
        str(model), 78400, 48, 1, "cpu",
    )  # fmt: skip
    text = "".join(word.text for word in heard if isinstance(word, Piece))
    ended = heard[-1]
    assert isinstance(ended, Ended) and ended.answer == first and ended.tokens > 0 and text
    assert not speaker.busy
    speaker.ask(QUESTION, LIVELY)
    again = hear(speaker, Ended)
    assert "".join(word.text for word in again if isinstance(word, Piece)) == text, "the same seed, the same answer"
    speaker.ask([Turn("user", "What is")], LIVELY, continues=True)
    assert isinstance(hear(speaker, Ended)[-1], Ended)


@pytest.mark.slow
def test_a_stop_ends_the_answer_and_those_that_wait(speaker: Speaker) -> None:
    numbers = [speaker.ask(QUESTION, SamplingSettings(max_tokens=40)) for _ in range(3)]
    speaker.stop()
    heard: list[Word] = []
    while speaker.busy:
        heard += speaker.wait(30.0)
    ended = {word.answer: word.reason for word in heard if isinstance(word, Ended)}
    assert ended == dict.fromkeys(numbers, "cancelled")
    speaker.ask(QUESTION, SamplingSettings(max_tokens=2, temperature=0.0))
    assert hear(speaker, Ended)[-1].reason != "cancelled"  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_model_that_is_not_there_is_trouble_and_the_next_one_loads(speaker: Speaker, tmp_path: Path) -> None:
    hear(speaker, Ready)
    checkpoint = next((speaker.folder / "runs").glob("*/checkpoints/step-00000032"))
    speaker.load(tmp_path / "nothing")
    trouble = hear(speaker, Trouble)[-1]
    assert isinstance(trouble, Trouble) and trouble.fix and not trouble.fatal
    number = speaker.ask(QUESTION, LIVELY)
    trouble = hear(speaker, Trouble)[-1]
    assert isinstance(trouble, Trouble) and trouble.answer == number and not speaker.busy
    speaker.load(checkpoint)
    ready = hear(speaker, Ready)[-1]
    assert isinstance(ready, Ready) and ready.folder == str(checkpoint)


@pytest.mark.slow
def test_a_killed_process_is_trouble_and_never_a_wait(speaker: Speaker) -> None:
    hear(speaker, Ready)
    speaker.ask(QUESTION, SamplingSettings(max_tokens=40))
    speaker._process.kill()
    trouble = hear(speaker, Trouble)[-1]
    assert isinstance(trouble, Trouble) and trouble.fatal and "has ended" in trouble.text
    assert not speaker.alive and not speaker.busy
    speaker.ask(QUESTION, LIVELY)
    speaker.stop()
    speaker.close()


@pytest.mark.slow
def test_the_process_dies_with_its_asker_however_that_ends(model: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from engine.runs.speaker import Speaker\n"
        f"s = Speaker(Path({str(model)!r})); s.wait(60); print(s._process.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as asker:
        assert asker.stdout is not None
        child = psutil.Process(int(asker.stdout.readline()))
        asker.kill()
    for _ in range(100):
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    raise AssertionError("an orphan")


def test_the_asker_needs_no_torch() -> None:
    program = "import sys; import engine.runs.speaker; print([n for n in ('torch', 'numpy') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
