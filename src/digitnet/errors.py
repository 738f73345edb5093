"""Every error that digitnet raises on purpose, and the exit code of a command that it ends.

    DigitnetError              1  something failed
    ├── UsageError             2  an unknown name or option, or a value that is not allowed
    ├── InputError             3  a file, folder or array of the wrong kind
    ├── StorageError           1  the disk is full, a folder cannot be read or written
    ├── DataUnavailableError   1  no source could provide a data set
    ├── MissingExtraError      1  an optional part of digitnet is not installed
    ├── ServiceError           1  a service of digitnet is not reached, or cannot answer now
    ├── TrainingDivergedError  1  the loss became infinite or NaN
    ├── StoppedError  130  stopped by Ctrl-C (143: by SIGTERM); the work can be continued
    └── IntegrityError         5  a damaged file, or one that is not what it claims to be

Each message is one or more sentences: what is wrong, the value, what is allowed, what to do.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator

_TRAIN = (
    *("torch", "onnx", "safetensors", "sklearn", "skimage", "scipy", "matplotlib", "jinja2"),
    "cv2",
)
_RAY = ("ray", "pyarrow", "fsspec")
_SERVE = (
    *("fastapi", "starlette", "pydantic", "uvicorn", "httptools", "prometheus_client"),
    "python_multipart",
)
# Which extra of digitnet installs a package, and what it is for.
_EXTRAS = {
    **dict.fromkeys(_TRAIN, ("train", "training")),
    **dict.fromkeys(_RAY, ("ray", "Ray")),
    **dict.fromkeys(_SERVE, ("serve", "the service")),
    "IPython": ("notebook", "a notebook"),
}


class DigitnetError(Exception):
    """Base of all errors that digitnet raises; catch it to catch them all."""

    exit_code = 1


class UsageError(DigitnetError):
    """A name, setting or option that does not exist, or a value that it cannot have."""

    exit_code = 2


class InputError(DigitnetError):
    """A file, folder or array that is not what the call needs."""

    exit_code = 3


class StorageError(DigitnetError):
    """The disk is full, or a folder cannot be read or written."""


class DataUnavailableError(DigitnetError):
    """No source could provide a data set; the message names every source tried."""


class MissingExtraError(DigitnetError):
    """A package that an optional part needs is not installed; the message gives the remedy."""


class ServiceError(DigitnetError):
    """A service of digitnet is not reached, overloaded, stopping or failing; it may be later."""


class TrainingDivergedError(DigitnetError):
    """The loss became infinite or NaN: the learning rate is too large for this network."""


class StoppedError(DigitnetError):
    """A signal stopped the work early; what is done is saved and can be continued."""

    # The default is for pickle, which calls this with the message only and then sets the rest.
    def __init__(self, message: str, signal_number: int = 2) -> None:
        super().__init__(message)
        # The exit code by which shells report a process that a signal ended.
        self.exit_code = 128 + signal_number


class IntegrityError(DigitnetError):
    """A file is damaged, or is not what it claims to be."""

    exit_code = 5


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for a name that is not one of ``allowed``, suggesting the nearest."""
    names = list(allowed)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UsageError(f"Unknown {kind} '{name}'.{hint} Allowed: {', '.join(names)}.")


def reason(error: BaseException) -> str:
    """Return the first line of what an error of a library says, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


@contextlib.contextmanager
def importing_extras() -> Iterator[None]:
    """Import optional packages inside this block.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra, purpose = _EXTRAS[package]
        raise MissingExtraError(
            f"This needs the package '{package}', which is not installed. "
            f"Install what {purpose} needs: pip install 'digitnet[{extra}]'."
        ) from error
