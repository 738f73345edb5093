"""The Ray engine: Ray, started on this machine or joined; tasks on it; trials as such tasks.

Guarantees:

- Without an address Ray listens on 127.0.0.1 only, asks for a token that this process made up, has
  no dashboard, sends no statistics, and ends with all its files when the block ends.
- A wrong address is an error within seconds. Ray's own messages do not reach the terminal.
- A node that is lost costs time: what ran there runs again elsewhere, and a trial continues from
  its checkpoint. A node that does not see the run folders under the same path is an error.
- At most the allowed number of items, and their results, are held at a time; an error of one item
  is a result like any other.
- Ctrl-C and SIGTERM are noted, not obeyed, because Ray may lose an exception in the middle of its
  own code; tasks are then interrupted and given some seconds to end.

The settings that Ray takes from the environment (``RAY_…``) stay set in this process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from digitnet.errors import (
    DigitnetError,
    InputError,
    StoppedError,
    StorageError,
    UsageError,
    importing_extras,
)
from digitnet.experiments.study.trials import Event, Listener, Trial, failure, run_trial
from digitnet.files import hold_lock, make_folder, storage_errors
from digitnet.machine import usable_cores
from digitnet.training.progress import collect_signals

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOPBACK = "127.0.0.1"
# Of results on their way; a part of a large recognition takes a tenth of a megabyte.
_STORE_BYTES = 128 * 2**20
_CONNECT_SECONDS = 5.0
# Ray gives up after half a minute, which a busy machine may need; by then its files are in memory.
_ATTEMPTS = 2
# How often a task whose process or node was lost is tried again.
RETRIES = 5
_POLL_SECONDS = 0.3
# After this long without a result, check that there is a node left to work.
_PATIENCE_SECONDS = 30.0
# For interrupted tasks to end.
_FAREWELL_SECONDS = 10.0
# A process on a lost node may outlive it by this much.
_LOCK_SECONDS = 60.0

# Set before Ray is loaded: it sends nothing to its makers, and prints nothing about graphics cards
# or lost nodes.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).*",
}
_JOINING = {"RAY_NUM_REDIS_GET_RETRIES": "1"}  # attempts, each of up to half a minute
# Ray then binds to the loopback interface, as it does by itself on macOS and Windows.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


@contextlib.contextmanager
def ray_session(
    address: str | None, *, cores: int, env: dict[str, str] | None = None
) -> Iterator[list[int]]:
    """Have Ray in the block.

    Args:
        address: HOST:PORT of a cluster that this machine is a part of; None starts Ray here.
        cores: how many tasks of one thread it may run at a time when it is started here.
        env: environment variables of the processes that run tasks.

    Yields:
        The signals that came; the second one raises KeyboardInterrupt at once.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be joined, or Ray is in use in this process.
        DigitnetError: Ray cannot be started.
    """
    _set_environment(address)
    host_port = _parsed(address) if address else None
    with importing_extras():
        import ray
    if host_port:
        _check_answers(*host_port, str(address))
    if ray.is_initialized():
        raise UsageError("Ray is in use in this process; end that by ray.shutdown() first.")
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "CRITICAL",
        "runtime_env": {"env_vars": env or {}},
    }
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            # Ray installs a handler of its own, which exits with 15.
            stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        # Not in TMPDIR: the names of Ray's sockets below it must fit in 107 bytes.
        folder = stack.enter_context(
            tempfile.TemporaryDirectory("", "digitnet-ray-", "/tmp", ignore_cleanup_errors=True)
        )
        stack.callback(ray.shutdown)
        if not address:
            settings |= {"num_cpus": cores, "include_dashboard": False, "_temp_dir": folder}
            settings |= {"object_store_memory": _STORE_BYTES}
        _connect(address, settings)
        yield stack.enter_context(collect_signals())


def _set_environment(address: str | None) -> None:
    os.environ.update(_QUIET | (_JOINING if address else {}))
    own = {} if address else {**_LOCAL, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in own.items():
        os.environ.setdefault(name, value)


def _connect(address: str | None, settings: dict[str, Any], attempts: int = _ATTEMPTS) -> None:
    """Join a cluster, or start Ray here; that is tried twice."""
    import ray

    if not address and ray.util.get_node_ip_address() != _LOOPBACK:
        raise UsageError(
            "Ray was loaded by this program before digitnet could keep it to this machine. "
            "Import ray later, or set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before."
        )
    try:
        with _muted():
            ray.init(address or "local", **settings)
    except Exception as error:  # Ray raises no narrower one when a start takes too long.
        ray.shutdown()
        if address:
            raise UsageError(
                f"The Ray cluster at --address {address} cannot be joined: {reason(error)} "
                "Run this on a machine of the cluster, with the cluster's versions of Python and "
                "Ray, and with its token (RAY_AUTH_MODE=token) if it has one."
            ) from error
        if attempts > 1:
            return _connect(address, settings, attempts - 1)
        raise DigitnetError(
            f"Ray could not be started on this machine: {reason(error)} Check that memory and /tmp "
            "have room and that the machine is not too busy, or use the local engine."
        ) from error


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Discard what libraries below Python write to stderr: Ray's do, before they have a log."""
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
            f"--address {address} is not the address of a Ray cluster; it must be HOST:PORT, "
            "as `ray start --head` prints it, for example 192.168.1.7:6379."
        )
    return host.strip("[]"), int(port)


def _check_answers(host: str, port: int, address: str) -> None:
    """Refuse an address where nothing answers, before Ray tries for minutes."""
    import ray

    if host in ("localhost", _LOOPBACK, "::1"):
        # As Ray does, whose nodes listen where others can reach them.
        host = ray.util.get_node_ip_address()
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:  # a host's name may be too long to be one
        raise UsageError(
            f"No Ray cluster answers at --address {address}: "
            f"{getattr(error, 'strerror', None) or error}. "
            "Check the address, and that `ray start --head` runs there."
        ) from error


def reason(error: BaseException) -> str:
    """Return the first line of what an error of Ray's says, as a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."


def results(
    function: Callable[..., Result],
    items: Iterable[Item],
    *,
    common: dict[str, Any],
    threads: int,
    limit: Callable[[], int],
    should_stop: Callable[[], bool],
) -> Generator[tuple[Item, Result | DigitnetError]]:
    """Yield each item with what ``function(item, **common)`` returned, as they come.

    Args:
        function: of a module, which every node of the cluster has; may be called twice for an item.
        items: taken one after the other, as nodes become free.
        common: what every call gets; sent to each node once.
        threads: of each call: it takes so many processors of a node.
        limit: called now and then: how many items may be under way.
        should_stop: called now and then; nothing more comes once it is true.

    Raises:
        DigitnetError: no node is left that could run anything.
    """
    import ray

    remote = ray.remote(function).options(num_cpus=threads, max_retries=RETRIES)
    shared = {name: ray.put(value) for name, value in common.items()}
    waiting = iter(items)
    running: dict[Any, Item] = {}
    heard = time.monotonic()
    try:
        while not should_stop():
            for item in itertools.islice(waiting, max(0, max(1, limit()) - len(running))):
                running[remote.remote(item, **shared)] = item
            if not running:
                return
            done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
            if done:
                heard = time.monotonic()
            elif time.monotonic() > heard + _PATIENCE_SECONDS:
                heard = time.monotonic()
                _check_nodes(threads)
            for reference in done:
                yield running.pop(reference), _result(reference)
    finally:
        # As Ctrl-C would; then a little time to end.
        for reference in running:
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=_FAREWELL_SECONDS)


def processors() -> int:
    """Return how many processors the cluster has now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def largest_node() -> int:
    """Return how many processors the largest node of the cluster has now."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return max((int(node["Resources"].get("CPU", 0)) for node in alive), default=0)


def _check_nodes(threads: int) -> None:
    if largest_node() < threads:
        raise DigitnetError(
            f"The cluster has no node left with {threads} processor(s) for this. What is finished "
            "is kept; when nodes have joined again, the same command continues."
        )


def _result(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, DigitnetError) else DigitnetError(failure(cause))
    except ray.exceptions.RayError as error:
        return DigitnetError(f"Its process died {RETRIES + 1} times: {reason(error)}")


def run_trials(
    trials: Sequence[Trial],
    *,
    processes: int | None = None,
    address: str | None = None,
    on_event: Listener = lambda _: None,
    **options: Any,
) -> None:
    """Finish trials, several at a time.

    Args:
        trials: what is left to do, at least one.
        processes: how many at a time; by default as many as the processors allow.
        address: as for ``ray_session``.
        on_event: called in this process with each trial that has finished or failed.
        **options: of ``run_trial``; every node must see ``data_dir``.

    Raises:
        UsageError: no node has the processors that a trial takes; or as for ``ray_session``.
        StoppedError: a signal came; the same call continues.
        MissingExtraError, DigitnetError: as for ``ray_session`` and ``results``.
    """
    threads = max(1, *(trial.config.threads for trial in trials))
    # What is asked for is granted, even on fewer cores.
    cores = threads * (processes or max(1, usable_cores() // threads))
    own = {name: value for name, value in os.environ.items() if name.startswith("DIGITNET_")}
    with (
        ray_session(address, cores=cores, env=own) as received,
        _witness(trials) as witness,
    ):
        if largest_node() < threads:
            raise UsageError(
                f"A trial takes {threads} threads, and no node of the cluster has as many "
                f"processors (the largest has {largest_node()}). Set 'threads' in the "
                "study, or join larger nodes."
            )
        common = {"folder": Path.cwd(), "witness": witness, "options": options}
        with contextlib.closing(
            results(
                run_one,
                trials,
                common=common,
                threads=threads,
                limit=lambda: processes or processors() // threads,
                should_stop=lambda: bool(received),
            )
        ) as ended:
            for trial, error in ended:
                failed = Event("failed", trial, message=str(error))
                on_event(failed if error else Event("finished", trial))
    if received:
        raise StoppedError("The study was stopped.", received[0])


def run_one(trial: Trial, *, folder: Path, witness: Path, options: dict[str, Any]) -> None:
    """Finish one trial on a node that sees ``witness``; relative paths are below ``folder``."""
    if not witness.exists():
        raise InputError(
            f"The node {platform.node()} does not see the folder {witness.parent}, where the "
            "runs of the study are. Put the study where every node sees it under this path."
        )
    if folder.is_dir():
        os.chdir(folder)
    elif not trial.folder.is_absolute():
        raise InputError(
            f"The node {platform.node()} has no folder {folder}, where the study was started. "
            "Name the folder of the study by a path that begins with /."
        )
    _wait_for_lock(trial.folder)
    run_trial(trial, **options)


def _wait_for_lock(folder: Path) -> None:
    """Wait until the process of a lost node lets go of a run; training complains if it does not."""
    end = time.monotonic() + _LOCK_SECONDS
    while folder.is_dir() and time.monotonic() < end:
        try:
            with hold_lock(folder):
                return
        except UsageError:
            time.sleep(0.5)


@contextlib.contextmanager
def _witness(trials: Sequence[Trial]) -> Iterator[Path]:
    """Have a file above all run folders, by which nodes know that they see what others see."""
    common = Path(os.path.commonpath([trial.folder.absolute().parent for trial in trials]))
    file = make_folder(common) / f".ray-{secrets.token_hex(6)}"
    with storage_errors(file):
        file.touch()
    try:
        yield file
    finally:
        with contextlib.suppress(OSError, StorageError):
            file.unlink()
