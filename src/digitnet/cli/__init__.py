"""The command line: parse, call, print.

Guarantees:

- What was asked for goes to stdout; progress, notes and errors go to stderr.
- ``--json`` prints one JSON object with a ``schema_version``.
- An error is a sentence and an exit code, never a traceback (``DIGITNET_DEBUG=1`` shows it).
- Ctrl-C exits with 130, and says so; a reader that went away exits with 1, without a word. Typer
  sees to both codes.
- Loading this loads neither torch nor matplotlib; the verbs that need them load them.
"""

from __future__ import annotations

import errno
import io
import signal
import sys
import traceback

from digitnet.cli.app import app
from digitnet.cli.console import fail, say
from digitnet.errors import DigitnetError

__all__ = ["app", "main"]

_INTERRUPTED = 128 + signal.SIGINT
_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Run the command line and exit with its code."""
    # Names of files may be no text; what is printed of them is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            # Before, or outside of, what says itself how to go on.
            say("Stopped.")
        raise
    except DigitnetError as error:
        fail(str(error), error.exit_code, error)
    except Exception as error:
        # The one place where everything is caught: no traceback reaches a user.
        fail(_unexpected(error), 1, error)


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _CANNOT_BE_WRITTEN:
        return f"The answer could not be written: {error.strerror}."
    reason = traceback.format_exception_only(error)[-1].strip().rstrip(".")
    return (
        f"digitnet met an error it did not expect: {reason}. "
        "Please report it with what DIGITNET_DEBUG=1 shows."
    )
