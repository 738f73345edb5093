"""The Ray engine: tasks on Ray, started on this machine or joined; trials as such tasks.

Guarantees:

- Without an address Ray listens on 127.0.0.1 only, asks for a token that this process made up, has
  no dashboard, sends no statistics, and ends with all its files when the block ends.
- A wrong address is an error within seconds. Ray's own messages do not reach the terminal.
- A node that is lost costs time: what ran there runs again elsewhere, and a trial continues from
  its checkpoint. A node with another digitnet is an error, and so is one that does not see the run
  folders under the same path.
- At most the allowed number of items, and their results, are held at a time; an error of one item
  is a result like any other.
- Ctrl-C and SIGTERM are noted, not obeyed, because Ray may lose an exception in the middle of its
  own code; tasks are then interrupted and given some seconds to end.

The settings that Ray takes from the environment (``RAY_…``) stay set in this process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import platform
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from digitnet import __version__
from digitnet.errors import (
    DigitnetError,
    InputError,
    IntegrityError,
    StoppedError,
    UsageError,
    importing_extras,
    reason,
)
from digitnet.experiments.study.trials import Event, Listener, Trial, failure, run_trial
from digitnet.files import hold_lock, make_folder
from digitnet.machine import usable_cores
from digitnet.text import count_of
from digitnet.training.progress import collect_signals

Item = TypeVar("Item")
Result = TypeVar("Result")
Ended = Generator[tuple[Item, Result | DigitnetError]]

# Of results on their way; a part of a large recognition takes a tenth of a megabyte.
_STORE_BYTES = 128 * 2**20
_CONNECT_SECONDS = 5.0
# Ray gives up after half a minute, which a busy machine may need; by then its files are in memory.
_ATTEMPTS = 2
# How often a task whose process or node was lost is tried again.
RETRIES = 5
_POLL_SECONDS = 0.3
# For interrupted tasks to end.
_FAREWELL_SECONDS = 10.0
# A process on a lost node may outlive it, and hold its run, by this much.
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


def results(
    call: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = 1,
    ahead: int = 1,
    processes: int | None = None,
    address: str | None = None,
    env: dict[str, str] | None = None,
) -> Ended[Item, Result]:
    """Yield each item with what ``call(item)`` returned on Ray, as they come.

    Args:
        call: a function of a module, which every node of the cluster has, or a partial one; sent to
            each node once, and perhaps called twice for an item.
        items: taken one after the other, as nodes become free.
        threads: of each call: it takes so many processors of a node.
        ahead: calls under way for each that can run.
        processes: how many calls run at a time; by default as many as the processors allow.
        address: HOST:PORT of a cluster that this machine is a part of; None starts Ray here.
        env: environment variables of the processes that run tasks.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be joined, or Ray is in use in this process.
        StoppedError: a signal came; the second one raises KeyboardInterrupt at once.
        DigitnetError: Ray cannot be started, or no node has the processors for a call.
    """
    # What is asked for is granted, even on fewer cores.
    cores = threads * (processes or max(1, usable_cores() // threads))
    # Ray that is started here has just the processors for them.
    most = processes if address and processes else sys.maxsize
    with ray_session(address, cores, env or {}) as received:
        import ray

        name = getattr(call, "func", call).__name__
        options = {"num_cpus": threads, "max_retries": RETRIES, "name": name}
        task: Any = ray.remote(_task).options(**options)
        shared, started_in = ray.put(call), Path.cwd()
        waiting, running = iter(items), dict[Any, Item]()
        try:
            while not received:
                limit = min(ahead * room(threads), most)
                for item in itertools.islice(waiting, max(0, limit - len(running))):
                    running[task.remote(shared, item, __version__, started_in)] = item
                if not running:
                    break
                done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                for reference in done:
                    yield running.pop(reference), _result(reference)
        finally:
            # As Ctrl-C would; then a little time to end.
            for reference in running:
                ray.cancel(reference)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=_FAREWELL_SECONDS)
    if received:
        raise StoppedError("What is done is kept; the same command continues it.", received[0])


@contextlib.contextmanager
def ray_session(address: str | None, cores: int, env: dict[str, str]) -> Iterator[list[int]]:
    """Have Ray in the block; yield the signals that came, the second raises KeyboardInterrupt."""
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(_QUIET)
    for name, value in (_JOINING if address else _LOCAL | token).items():
        os.environ.setdefault(name, value)
    with importing_extras():
        import ray
    if ray.is_initialized():
        raise UsageError("Ray is in use in this process; end that by ray.shutdown() first.")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    settings["runtime_env"] = {"env_vars": env}
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
            settings |= {"num_cpus": cores, "object_store_memory": _STORE_BYTES}
            settings |= {"include_dashboard": False, "_temp_dir": folder}
        _connect(address, settings)
        yield stack.enter_context(collect_signals())


def _connect(address: str | None, settings: dict[str, Any], attempts: int = _ATTEMPTS) -> None:
    """Join a cluster, or start Ray here; that is tried twice."""
    import ray

    if not address and ray.util.get_node_ip_address() != "127.0.0.1":
        raise UsageError(
            "Ray was loaded by this program before digitnet could keep it to this machine. "
            "Import ray later, or set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before."
        )
    try:
        if address:
            # Where nothing answers, Ray tries for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        with _muted():
            ray.init(address or "local", **settings)
    except Exception as error:  # Ray raises no narrower one when a start takes too long.
        ray.shutdown()
        if address:
            raise UsageError(
                f"The Ray cluster at --address {address} cannot be joined: {reason(error)} "
                "It must be HOST:PORT, as `ray start --head` prints it. Run this on a machine of "
                "the cluster, with the cluster's versions of Python and Ray, and with its token "
                "(RAY_AUTH_MODE=token) if it has one."
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
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _task(call: Callable[[Item], Result], item: Item, version: str, started_in: Path) -> Result:
    """Make a call on a node, in the folder where the command was started if it is there."""
    if version != __version__:
        raise IntegrityError(
            f"The node {platform.node()} has digitnet {__version__}, and this was started with "
            f"{version}. Install the same version on every node."
        )
    if started_in.is_dir():
        os.chdir(started_in)
    return call(item)


def room(threads: int) -> int:
    """Return how many calls the nodes that the cluster has now can run at a time.

    Raises:
        DigitnetError: none.
    """
    import ray

    sizes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if max(sizes, default=0) < threads:
        raise DigitnetError(
            f"No node of the cluster has the {count_of(threads, 'processor')} for this; the "
            f"largest has {max(sizes, default=0)}. What is finished is kept. Let such a node join, "
            "or set fewer 'threads' in a study; then the same command continues."
        )
    return sum(size // threads for size in sizes)


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
        address: as for ``results``.
        on_event: called in this process with each trial that has finished or failed.
        **options: of ``run_trial``; every node must see ``data_dir``.

    Raises:
        StoppedError: a signal came; the same call continues.
        DigitnetError: as for ``results``.
    """
    above = Path(os.path.commonpath([trial.folder.absolute().parent for trial in trials]))
    # By this file, nodes know that they see the run folders that others see.
    with tempfile.NamedTemporaryFile(prefix=".ray-", dir=make_folder(above)) as witness:
        common: Any = {"folder": Path.cwd(), "witness": Path(witness.name), "options": options}
        ended = results(
            functools.partial(run_one, **common),
            trials,
            threads=max(1, *(trial.config.threads for trial in trials)),
            processes=processes,
            address=address,
            env={name: os.environ[name] for name in os.environ if name.startswith("DIGITNET_")},
        )
        with contextlib.closing(ended):
            for trial, error in ended:
                failed = Event("failed", trial, message=str(error))
                on_event(failed if error else Event("finished", trial))


def run_one(trial: Trial, *, folder: Path, witness: Path, options: dict[str, Any]) -> None:
    """Finish one trial on a node that sees ``witness``; its folder is below ``folder``."""
    if not witness.exists():
        raise InputError(
            f"The node {platform.node()} does not see the folder {witness.parent}, where the "
            "runs of the study are. Put the study where every node sees it under this path."
        )
    trial = dataclasses.replace(trial, folder=folder / trial.folder)
    if trial.folder.is_dir():
        with hold_lock(trial.folder, wait=_LOCK_SECONDS):
            pass
    run_trial(trial, **options)
