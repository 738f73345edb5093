"""The old place of ``errors.importing_extras``."""

from digitnet.errors import importing_extras as needed

__all__ = ["needed"]
