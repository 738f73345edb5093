"""Every error that digitnet raises on purpose, and the exit code each one ends a command with.

    DigitnetError              1  something failed
    ├── UsageError             2  a setting, name or option that cannot be used
    ├── InputError             3  a file, folder or array that is not what it should be
    ├── StorageError           1  a disk is full, a folder cannot be written
    ├── DataUnavailableError   1  no source could provide a data set
    ├── MissingExtraError      1  a part of digitnet that is not installed
    ├── TrainingDivergedError  1  the loss is no longer a number
    ├── StoppedError  130  stopped by Ctrl-C (143 by SIGTERM); the run is whole
    └── IntegrityError         5  a file whose content cannot be trusted

Each message is a sentence or more: what was wrong, the value, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DigitnetError(Exception):
    """Base of all errors that digitnet raises; catch it to catch them all."""

    exit_code = 1


class UsageError(DigitnetError):
    """A name, setting or option that does not exist or cannot hold this value."""

    exit_code = 2


class InputError(DigitnetError):
    """A file, folder or array that is not what the call needs."""

    exit_code = 3


class StorageError(DigitnetError):
    """The disk is full, or a folder cannot be read or written."""


class DataUnavailableError(DigitnetError):
    """No source could provide a data set; the message names every source tried."""


class MissingExtraError(DigitnetError):
    """A dependency of an optional part is not installed; the message gives the command."""


class TrainingDivergedError(DigitnetError):
    """The loss became infinite or no number: the learning rate is too large for this network."""


class StoppedError(DigitnetError):
    """A signal ended the work before its time; what is done is kept, and can be continued."""

    # The default is for pickle, which rebuilds an error from its message and sets the rest.
    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        # The exit code that a shell gives a process which a signal ended.
        self.exit_code = 128 + signal_number


class IntegrityError(DigitnetError):
    """A file is damaged, or holds something other than what it claims."""

    exit_code = 5


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for a name that is not one of ``allowed``, proposing the nearest."""
    names = list(allowed)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UsageError(f"Unknown {kind} '{name}'.{hint} Allowed: {', '.join(names)}.")
