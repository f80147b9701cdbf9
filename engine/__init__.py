"""The engine of forge-tui: text to tokens, tokens to models, runs that outlive their terminal.

    from engine import load_model
    load_model("sacrifice").generate("What is Python?")

Importing this package is cheap: what it names is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.model.loaded import LoadedModel, load_model

__all__ = ["LoadedModel", "load_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from engine.model import loaded

        return getattr(loaded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
