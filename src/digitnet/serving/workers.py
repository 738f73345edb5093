"""Several processes that share one address, and the one that watches over them.

Guarantees:

- A worker that dies is replaced; one that cannot start ends the service with its error.
- A signal to the first process reaches all of them, and it ends after the last of them. If it is
  killed, the others stop by themselves.
- Only workers load the model and the libraries of the service.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from digitnet.errors import DigitnetError, ServiceError, UsageError, importing_extras

if TYPE_CHECKING:
    from digitnet.serving.service_settings import ServiceSettings

MAX_WORKERS = 64
# Where prometheus_client keeps the counters of several processes.
_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; clients are not kept waiting at it yet.

    Raises:
        UsageError: it is taken, not allowed, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its name, or asyncio takes it for something else and lets small answers wait (Nagle).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"Port {port} of {host} is in use. Choose another with --port; 0 takes a free one."
            ) from error
        reason = error.strerror or str(error)
        raise UsageError(
            f"Cannot listen at port {port} of '{host}': {reason}. Choose another with --host "
            "and --port."
        ) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of a socket as clients write it: ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_workers(
    listener: socket.socket,
    model: Path | None,
    settings: ServiceSettings,
    workers: int,
    *,
    on_ready: Callable[[], None],
    on_message: Callable[[str], None],
) -> int:
    """Serve at a socket with several processes until a signal comes; return the exit code.

    Args:
        listener: as ``bound_socket`` returns it.
        model: as for ``Recognizer``.
        settings: of the service, for each worker.
        workers: how many processes.
        on_ready: is called once all of them answer.
        on_message: is called with a line about a worker that died.

    Raises:
        DigitnetError: a worker could not start.
    """
    with listener, _counters():
        return _Watch(listener, model, settings, workers).run(on_ready, on_message)


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    messages: Connection
    ready: bool = False


class _Watch:
    """Starts workers, watches them, and passes signals on."""

    def __init__(
        self, listener: socket.socket, model: Path | None, settings: ServiceSettings, workers: int
    ) -> None:
        self._given = (listener, model, settings)
        self._count = workers
        self._workers: list[_Worker] = []
        self._signals: list[int] = []
        # Seen by all workers, and without a lock, since a signal handler sets it.
        self._ends = multiprocessing.get_context("spawn").RawValue("b", 0)

    def run(self, on_ready: Callable[[], None], on_message: Callable[[str], None]) -> int:
        """Keep workers running until a signal comes; return the exit code."""
        codes: list[int] = []
        told = False
        with self._taking_signals():
            try:
                for _ in range(self._count):
                    self._start()
                while self._workers:
                    codes += self._wait(on_message)
                    if not told and all(one.ready for one in self._workers) and not self._signals:
                        told = True
                        on_ready()
            except BaseException:
                # Without this process nobody would watch them, and it would wait for them.
                self._stop()
                raise
        return max(codes, default=0)

    def _start(self) -> None:
        if self._signals:
            return
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(*self._given, self._ends, theirs))
        try:
            with _sigint_for_later():
                process.start()
        except (OSError, ValueError):
            if not self._signals:
                raise
            # A signal has just closed the listener; whoever was to have it is not needed.
            ours.close()
            return
        finally:
            theirs.close()
        self._workers.append(_Worker(process, ours))
        if self._signals:
            process.terminate()

    def _wait(self, on_message: Callable[[str], None]) -> list[int]:
        """Wait for something to happen; return the codes of workers that ended as they should."""
        watched: dict[object, _Worker] = {one.process.sentinel: one for one in self._workers}
        watched |= {one.messages: one for one in self._workers if not one.messages.closed}
        codes = []
        for happened in wait(list(watched)):  # type: ignore[arg-type]
            worker = watched[happened]
            if happened is worker.messages:
                self._hear(worker)
            elif worker in self._workers:
                codes += self._bury(worker, on_message)
        return codes

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.messages.recv()
        except (EOFError, OSError):
            worker.messages.close()
            return
        if isinstance(message, DigitnetError):
            raise message
        worker.ready = True

    def _bury(self, worker: _Worker, on_message: Callable[[str], None]) -> list[int]:
        """Take a worker that has ended off the list, and start another if it should not have."""
        if not worker.messages.closed and worker.messages.poll():
            # Its last words say why.
            self._hear(worker)
        process = worker.process
        process.join()
        self._workers.remove(worker)
        code = process.exitcode or 0
        if self._signals:
            # One that had not begun has lost nothing.
            return [(code if code >= 0 else 128 - code) if worker.ready else 0]
        if not worker.ready:
            raise ServiceError(f"A worker ended with code {code} before it could answer.")
        on_message(f"Worker {process.pid} ended with code {code}; starting another.")
        _forget(process.pid or 0)
        self._start()
        return []

    def _stop(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()

    @contextlib.contextmanager
    def _taking_signals(self) -> Iterator[None]:
        names = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self._pass_on) for each in names}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        self._ends.value = 1
        # Or clients could still connect when no worker takes them any more.
        self._given[0].close()
        for worker in self._workers:
            worker.process.terminate()


@contextlib.contextmanager
def _sigint_for_later() -> Iterator[None]:
    """Hold SIGINT back, here until the end and in a process that is started for ever.

    A terminal sends Ctrl-C to every process, also to one that is just starting: the first one must
    not miss it, and tells the others.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # When it starts, it lets SIGINT through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    listener: socket.socket,
    model: Path | None,
    settings: ServiceSettings,
    ends: Any,
    messages: Connection,
) -> None:
    """Be a worker: serve, and say when it is ready or why it cannot be.

    Args:
        listener: as for ``serve_socket``, like what follows.
        model: of its network.
        settings: of the service.
        ends: a shared number, not 0 once all workers are told to stop.
        messages: takes "ready", or an error.
    """
    try:
        with importing_extras():
            from digitnet.serving.server import serve_socket
        code = serve_socket(
            listener, model, settings, lambda: messages.send("ready"), lambda: bool(ends.value)
        )
    except DigitnetError as error:
        messages.send(error)
        code = error.exit_code
    raise SystemExit(code)


@contextlib.contextmanager
def _counters() -> Iterator[None]:
    """Have a folder for the counters of all workers."""
    with tempfile.TemporaryDirectory(prefix="digitnet-") as folder:
        before = os.environ.get(_COUNTERS)
        os.environ[_COUNTERS] = folder
        try:
            yield
        finally:
            del os.environ[_COUNTERS]
            if before is not None:
                os.environ[_COUNTERS] = before


def _forget(process: int) -> None:
    from digitnet.serving.service_metrics import forget

    forget(process)
