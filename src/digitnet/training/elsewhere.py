"""Work that another process does ahead, so that a training need not wait for it.

Guarantees:

- Items arrive in order and as they were made. What fails there is raised here.
- The process ends with ``close``, and by itself as soon as this process is gone, however it ended.
  What a terminal sends at Ctrl-C does not reach it.
- It loads the package and nothing of the program that trains: no script needs
  ``if __name__ == "__main__":`` for it, and it works in a notebook and under ``python -c``.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, Generic, TypeVar

from digitnet.errors import DigitnetError

_T = TypeVar("_T")
# Items made ahead.
_AHEAD = 6


class Elsewhere(Generic[_T]):
    """The items of an iterator that runs in a process of its own; it begins when this is made.

    Args:
        function: returns the iterator; one of a module, found there by its name.
        *args: its arguments, which are copied.
    """

    def __init__(self, function: Callable[..., Iterator[_T]], *args: Any) -> None:
        # The same places to find the package in, wherever this process got them from.
        program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            with _pipe(self._process.stdin) as request:
                pickle.dump((function, args), request)
        except BrokenPipeError:
            pass  # It says why when its items are read.
        except BaseException:
            self.close()
            raise

    def next(self) -> _T:
        """Return the next item, waiting for it if need be.

        Raises:
            DigitnetError: the process has died.
            Exception: whatever the function raised, StopIteration after its last item.
        """
        try:
            item, error = pickle.load(_pipe(self._process.stdout))  # noqa: S301  our own process
        except (EOFError, pickle.UnpicklingError):
            code = self._process.wait()
            self.close()
            raise DigitnetError(
                f"The process that works ahead died (exit code {code}). "
                "There may be too little memory for it."
            ) from None
        if error:
            self.close()
            raise error
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process, at once."""
        _pipe(self._process.stdout).close()
        self._process.kill()
        self._process.wait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


# ---- in the other process


def serve() -> None:
    """Do what is asked for on stdin, and write what comes of it to stdout, for ``Elsewhere``."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    ready: queue.Queue[tuple[Any, Exception | None] | None] = queue.Queue(_AHEAD)
    threading.Thread(target=_write, args=(ready, answers)).start()
    try:
        function, args = pickle.load(sys.stdin.buffer)  # noqa: S301  from the process above us
        for item in function(*args):
            ready.put((item, None))
        ready.put((None, StopIteration()))
    except Exception as error:
        ready.put((None, error))
    ready.put(None)


def _write(ready: queue.Queue[tuple[Any, Exception | None] | None], answers: IO[bytes]) -> None:
    try:
        for answer in iter(ready.get, None):
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except Exception:  # Mostly because nobody reads any more.
        os._exit(1)
