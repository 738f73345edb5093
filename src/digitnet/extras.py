"""Parts of digitnet that need more than the base install."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from digitnet.errors import MissingExtraError

_TRAIN = ("torch", "jinja2", "safetensors", "sklearn", "skimage", "scipy", "matplotlib")
_RAY = ("ray", "pyarrow", "fsspec")
# Which extra of digitnet installs a package, and what it is for.
_EXTRAS = dict.fromkeys(_TRAIN, ("train", "training")) | dict.fromkeys(_RAY, ("ray", "Ray"))


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Import such a part inside this block.

    Raises:
        MissingExtraError: a package that it needs is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra, purpose = _EXTRAS[package]
        raise MissingExtraError(
            f"This needs the package '{package}' (digitnet[{extra}]), which is not installed. "
            f"Install what {purpose} needs: pip install '.[{extra}]' in digitnet's source folder."
        ) from error
