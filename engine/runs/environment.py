"""The environment of a worker: settings that libraries read once, when they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.user_cache import user_cache

SETTINGS = {
    # glibc gives every large tensor back to the kernel and asks for it again: a page fault for each 4 KiB, each step.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    "MALLOC_TOP_PAD_": "67108864",
    # Threads that wait at a barrier sleep soon instead of spinning: one busy neighbour, or the app itself, would
    # otherwise slow training down several times over.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "20000",
    "KMP_BLOCKTIME": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""What is set where the user has not set it already."""


def compiled_folder() -> Path:
    """Where torch.compile keeps its work from run to run: $XDG_CACHE_HOME/forge-tui/compiled.

    Its own choice, a folder in /tmp that is named after the user, could have been made by anybody, and is executed.
    """
    return user_cache() / "compiled"


@contextmanager
def worker_environment() -> Iterator[None]:
    """Set SETTINGS for processes started inside; what the user has set wins, and ours is taken back afterwards."""
    wanted = SETTINGS | {"TORCHINDUCTOR_CACHE_DIR": str(compiled_folder())}
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
