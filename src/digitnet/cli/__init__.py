"""The command line: parse, call, print.

Guarantees:

- What was asked for goes to stdout; progress, notes and errors go to stderr.
- ``--json`` prints one JSON object with a ``schema_version``.
- An error is a sentence and an exit code, never a traceback (``DIGITNET_DEBUG=1`` shows it).
- Loading this loads neither torch nor matplotlib; the verbs that need them load them.
"""

from __future__ import annotations

import os
import sys
import traceback

from digitnet.cli.app import app
from digitnet.cli.console import fail
from digitnet.errors import DigitnetError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except DigitnetError as error:
        fail(str(error), error.exit_code, error)
    except KeyboardInterrupt as error:
        fail("Interrupted.", 130, error)
    except BrokenPipeError:
        # The reader of our output went away (`digitnet data list | head -1`): nothing to tell.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        raise SystemExit(0) from None
    except Exception as error:
        # The one place where everything is caught: no traceback reaches a user.
        reason = traceback.format_exception_only(error)[-1].strip()
        fail(
            f"digitnet met an error it did not expect: {reason} "
            f"Please report it with what DIGITNET_DEBUG=1 shows.",
            1,
            error,
        )
