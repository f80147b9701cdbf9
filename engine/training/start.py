"""The weights that training starts from: fresh, those of the published model, or grown from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.events import Log
from engine.sizes import name_of
from engine.training.seeds import generator

if TYPE_CHECKING:
    from engine.job import Job
    from engine.model.architecture import Architecture
    from engine.model.info import ModelInfo
    from engine.model.transformer import Decoder
    from engine.runs.channel import Reporter


def first_decoder(
    job: Job, architecture: Architecture, start: ModelInfo | None, device: str, report: Reporter
) -> Decoder:
    """The decoder before the first step, on its device; the same every time for the same run.

    Args:
        job: Whose seed and method count.
        architecture: Of the model that is trained.
        start: The published model that training starts from; None for a new one.
        device: Where the decoder goes.
        report: Told of the proof where the model grows.

    Raises:
        ModelError: the published model cannot be read, or does not compute the same once it has grown.
    """
    from engine.model.folder import load_decoder
    from engine.model.transformer import Decoder

    seed = job.train.seed
    if start is None:
        decoder = Decoder(architecture)
        decoder.init_weights(generator(seed, "weights"))
        return decoder.to(device)
    present, before = load_decoder(start.folder)
    if job.train.method == "grow" and before.dimensions != architecture.dimensions:
        from engine.model.grow import grow

        present, _, proof = grow(present, before, architecture.dimensions, generator(seed, "growth"))
        report(
            Log(
                text=f"Grown from {name_of(before.dimensions)} to {name_of(architecture.dimensions)}: "
                f"on {proof.tokens:,} tokens two logits differ by at most {proof.max_relative:.1e} of the largest."
            )
        )
        if not proof.exact:
            raise ModelError("The grown model does not compute the same as before.", file=start.folder)
    decoder = Decoder(architecture)
    decoder.load_state_dict(present.state_dict())
    return decoder.to(device)
