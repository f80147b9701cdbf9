"""JSON and plain values into our dataclasses: msgspec, made safe for threads.

msgspec works out what a dataclass looks like when it first meets it, and two threads that do so at once crash the whole
process (0.22.0: a segmentation fault, on every try when provoked). Here one thread does it, the others wait.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_lock = threading.Lock()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode_json(data: bytes | str, kind: type[T]) -> T:
    """A value of `kind` from JSON.

    Raises:
        msgspec.DecodeError: it is not JSON, or (msgspec.ValidationError) does not fit.
    """
    found: T = _decoder(kind).decode(data)
    return found


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """A value of `kind` from plain dictionaries, lists, strings and numbers.

    Args:
        value: What there is.
        kind: What it is to be.
        strict: Whether a string is never taken for a number.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    _decoder(kind)  # what kind looks like is known from now on
    return msgspec.convert(value, kind, strict=strict)


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(kind)
    if decoder is None:
        with _lock:
            decoder = _decoders.get(kind)
            if decoder is None:
                decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder
