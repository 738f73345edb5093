"""Ray, started on this machine or joined, and left again.

Guarantees:

- Without an address Ray listens on 127.0.0.1 only, asks for a token that this process made up, has
  no dashboard, sends no statistics, and is ended with all its files when the block ends.
- With one, what can be known of it is checked first: a wrong address is an error within seconds.
- Ray's own messages do not reach the terminal.
- Ctrl-C and SIGTERM are noted in the block, not obeyed: an exception raised in the middle of Ray's
  own code may be lost there, or come out as another.

The settings that Ray takes from the environment (``RAY_…``) stay set in this process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from digitnet import extras
from digitnet.errors import DigitnetError, UsageError
from digitnet.training import signals

_LOOPBACK = "127.0.0.1"
# Of results on their way; a part of a large recognition takes a tenth of a megabyte.
_STORE_BYTES = 128 * 2**20
_CONNECT_SECONDS = 5.0
# Ray gives up after half a minute, which a busy machine may need; by then its files are in memory.
_STARTS = 2
# What Ray raises when it cannot join; its own errors are all of the first kind.
_FAILURES = (RuntimeError, ConnectionError, TimeoutError, OSError, ValueError, AssertionError)

# Before Ray is loaded: nothing is sent to its makers, and nothing said of graphics cards, nor of
# nodes that are lost, which it would print to stdout; and on one machine it binds to the loopback
# interface, as it does by itself on macOS and Windows.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).*",
}
# Attempts to connect, each of up to half a minute.
_JOINING = {"RAY_NUM_REDIS_GET_RETRIES": "1"}
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


@contextlib.contextmanager
def ray_session(
    address: str | None, *, cores: int, env: dict[str, str] | None = None
) -> Iterator[list[int]]:
    """Have Ray in the block.

    Args:
        address: HOST:PORT of a cluster that this machine is a part of; None starts Ray here.
        cores: how many tasks of one thread it may run at a time when it is started here.
        env: environment variables of the processes that tasks run in.

    Yields:
        The signals that came; the second one raises KeyboardInterrupt at once.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be joined, or Ray runs in this process already.
        DigitnetError: Ray cannot be started.
    """
    os.environ.update(_QUIET)
    if address is None:
        for name, value in (_LOCAL | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}).items():
            os.environ.setdefault(name, value)
    else:
        os.environ.update(_JOINING)
        host, port = _parsed(address)
    with extras.needed():
        import ray
    if address is not None:
        _check_answers(address, host, port)
    if ray.is_initialized():
        raise UsageError("Ray is in use in this process; end that by ray.shutdown() first.")
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "CRITICAL",
        "runtime_env": {"env_vars": env or {}},
    }
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with (
            _started(cores, settings) if address is None else _joined(address, settings),
            signals.noted() as received,
        ):
            yield received
    finally:
        if main:
            # Ray puts one of its own there, which exits with 15.
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _started(cores: int, settings: dict[str, Any]) -> Iterator[None]:
    import ray

    if ray.util.get_node_ip_address() != _LOOPBACK:
        raise UsageError(
            "Ray was loaded by this program before digitnet could keep it to this machine. "
            "Import ray later, or set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before."
        )
    # Not in TMPDIR: the names of Ray's sockets below it must fit in 107 bytes.
    folder = tempfile.mkdtemp(prefix="digitnet-ray-", dir="/tmp")
    try:
        _start(cores, folder, settings)
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _start(cores: int, folder: str, settings: dict[str, Any]) -> None:
    import ray

    for attempt in range(1, _STARTS + 1):
        try:
            with _muted():
                ray.init(
                    "local",
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=_STORE_BYTES,
                    _temp_dir=folder,
                    **settings,
                )
            return
        except Exception as error:  # Ray raises no narrower one when a start takes too long.
            ray.shutdown()
            if attempt == _STARTS:
                raise DigitnetError(
                    f"Ray could not be started on this machine: {reason(error)} See that memory "
                    "and /tmp have room and that the machine is not too busy, or use the local "
                    "engine."
                ) from error


@contextlib.contextmanager
def _joined(address: str, settings: dict[str, Any]) -> Iterator[None]:
    import ray

    try:
        with _muted():
            ray.init(address, **settings)
    except (ray.exceptions.RayError, *_FAILURES) as error:
        raise UsageError(
            f"The Ray cluster at --address {address} cannot be joined: {reason(error)} "
            "Run this on a machine of the cluster, with the cluster's versions of Python and Ray, "
            "and with its token (RAY_AUTH_MODE=token) if it has one."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep what libraries below Python write to stderr off it: Ray's do, before they have a log."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _parsed(address: str) -> tuple[str, int]:
    """Return host and port."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"--address {address} is no address of a Ray cluster; it must be HOST:PORT, "
            "as `ray start --head` prints it, for example 192.168.1.7:6379."
        )
    return host.strip("[]"), int(port)


def _check_answers(address: str, host: str, port: int) -> None:
    """Refuse an address where nothing answers, before Ray tries for minutes."""
    import ray

    if host in ("localhost", _LOOPBACK, "::1"):
        # As Ray does, whose nodes listen where others can reach them.
        host = ray.util.get_node_ip_address()
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # a name longer than names of hosts may be
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"No Ray cluster answers at --address {address}: {reason}. "
            "Check the address, and that `ray start --head` runs there."
        ) from error


def reason(error: BaseException) -> str:
    """Return the first line of what an error of Ray's says, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."
