"""The weights that training starts from: fresh, those of the published model, or grown from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.events import Log
from engine.sizes import name_of
from engine.training.seeds import generator

if TYPE_CHECKING:
    from engine.model.transformer import Decoder
    from engine.runs.channel import Reporter
    from engine.training.prepare import Prepared


def first_decoder(prepared: Prepared, report: Reporter) -> Decoder:
    """The decoder before the first step, on its device; the same every time for the same run."""
    from engine.model.folder import load_decoder
    from engine.model.transformer import Decoder

    seed = prepared.job.train.seed
    if prepared.start is None:
        decoder = Decoder(prepared.architecture)
        decoder.init_weights(generator(seed, "weights"))
        return decoder.to(prepared.placement.device)
    present, architecture = load_decoder(prepared.start.folder)
    if prepared.job.train.method == "grow" and architecture.dimensions != prepared.architecture.dimensions:
        from engine.model.grow import grow

        present, _, proof = grow(present, architecture, prepared.architecture.dimensions, generator(seed, "growth"))
        report(
            Log(
                text=f"Grown from {name_of(architecture.dimensions)} to {prepared.plan.size}: "
                f"on {proof.tokens:,} tokens two logits differ by at most {proof.max_relative:.1e} of the largest."
            )
        )
        if not proof.exact:
            raise ModelError("The grown model does not compute the same as before.", file=prepared.start.folder)
    decoder = Decoder(prepared.architecture)
    decoder.load_state_dict(present.state_dict())
    return decoder.to(prepared.placement.device)
