"""Parts of digitnet that need more than the base install."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from digitnet.errors import MissingExtraError

_EXTRA_PACKAGES = ("torch", "safetensors", "sklearn", "skimage", "scipy", "matplotlib")


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
        if package not in _EXTRA_PACKAGES:
            raise
        raise MissingExtraError(
            f"This needs the package '{package}', which is not installed. "
            f"Install what training needs: pip install '.[train]' in digitnet's source folder."
        ) from error
