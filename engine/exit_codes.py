"""The exit codes of every forge-tui command: a contract with scripts, cron and Slurm."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to its caller when it ends."""

    DONE = 0
    """Finished; early stopping counts as finished."""
    FAILED = 1
    """Something went wrong that no other code names."""
    USAGE = 2
    """The command line or forge.toml is wrong."""
    DATA = 3
    """The training data cannot be used."""
    DIVERGED = 4
    """The loss diverged and rolling back did not help."""
    MEMORY = 5
    """Out of memory even with the smallest micro-batch."""
    DISK = 6
    """The disk is full."""
    BUSY = 75
    """Another run holds this model (EX_TEMPFAIL)."""
    HANGUP = 129
    """Stopped by SIGHUP; saved, the same command continues."""
    INTERRUPTED = 130
    """Stopped by SIGINT; saved, the same command continues."""
    TERMINATED = 143
    """Stopped by SIGTERM; saved, the same command continues."""
