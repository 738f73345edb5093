"""What goes wrong, as RFC 9457 says it: ``application/problem+json``.

Guarantees:

- Every problem has ``type``, ``title``, ``status`` and ``detail``, the class of digitnet's error as
  ``code`` and the exit code that the command line would end with as ``exit_code``.
- ``detail`` is a sentence for whoever called; it never holds a traceback or a path of the server.
"""

from __future__ import annotations

import json
from typing import Any

from digitnet.errors import DigitnetError, InputError, ServiceError, UsageError
from digitnet.text import escaped

PROBLEM_TYPE = "application/problem+json"
# The readable documents explain each code at this anchor.
TYPE_PREFIX = "/docs#"
# What each code means, in a few words, and its usual status.
TITLES = {
    "UsageError": "The request asks for something that does not exist",
    "InputError": "What was sent cannot be read",
    "ServiceError": "The service cannot answer now",
    "IntegrityError": "A file of the service is damaged",
    "DigitnetError": "The service failed",
}
_STATUS = {UsageError: 400, InputError: 422, ServiceError: 503}
RETRY_AFTER = b"1"


class RefusedError(Exception):
    """A request that is turned down, with the status that HTTP has for it.

    Args:
        status: of HTTP.
        error: what digitnet says about it.
        headers: that the answer has besides.
    """

    def __init__(self, status: int, error: DigitnetError, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(str(error))
        self.status, self.error, self.headers = status, error, headers


def overloaded() -> RefusedError:
    """Return what is said when too much is waiting already."""
    return refused_for_now("The service has as much to do as it takes on. Try again in a second.")


def refused_for_now(detail: str) -> RefusedError:
    """Return a refusal that trying again may change: status 503, with ``Retry-After``."""
    return RefusedError(503, ServiceError(detail), (b"retry-after", RETRY_AFTER))


def problem_of(error: Exception) -> tuple[int, dict[str, Any], tuple[tuple[bytes, bytes], ...]]:
    """Return the status, the members and the headers of the problem that an error is.

    An error that nobody expected says nothing of itself.
    """
    status, headers = 500, tuple[tuple[bytes, bytes], ...]()
    if isinstance(error, RefusedError):
        status, headers, error = error.status, error.headers, error.error
    elif isinstance(error, DigitnetError):
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    if not isinstance(error, (UsageError, InputError, ServiceError)):
        # It is about the machine that the service runs on: a path, a file, a defect.
        error = DigitnetError("The service failed, and noted why. The request may be right.")
    name = type(error).__name__
    values = {
        "type": TYPE_PREFIX + name,
        "title": TITLES[name],
        "status": status,
        "detail": escaped(str(error)),
        "code": name,
        "exit_code": error.exit_code,
    }
    return status, values, headers


def encoded(values: dict[str, Any]) -> bytes:
    """Return a problem as JSON in ASCII."""
    return json.dumps(values).encode()
