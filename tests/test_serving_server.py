"""The life of a service: how it starts, and that it stops without losing anything."""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import serving
from digitnet.serving.server import drop_new_connections
from serving import answered, request

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX systems")


class Load:
    """Clients that send requests one after the other until nobody takes them.

    Each notes what became of every request; one that was sent and not answered is lost.
    """

    def __init__(self, port: int, clients: int, *, keep: bool) -> None:
        self._port, self._keep = port, keep
        self.answers: list[tuple[int, str]] = []
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(30)

    def _run(self, client: int) -> None:
        connection: socket.socket | None = None
        for number in range(100_000):
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._port), timeout=20)
            except OSError:
                # Refused: nothing was accepted.
                return
            name = f"{client}-{number}"
            try:
                connection.sendall(
                    request(serving.picture(), "/v1/predict", f"X-Request-ID: {name}")
                )
                status, headers, _ = answered(connection)
            except OSError as error:
                self.lost.append(f"{name}: {error!r}")
                connection = None
                continue
            self.answers.append((status, headers["x-request-id"]))
            assert headers["x-request-id"] == name
            if headers.get("connection") == "close" or not self._keep:
                connection.close()
                connection = None


@pytest.mark.parametrize(
    ("arguments", "keep"),
    [((), True), ((), False), (("--workers", 2), True)],
    ids=["one", "one, new connections", "two workers"],
)
def test_a_service_that_is_told_to_stop_under_load_loses_nothing(
    arguments: tuple[Any, ...], keep: bool, record_property: Callable[[str, object], None]
) -> None:
    with serving.started(*arguments) as service:
        with Load(service.port, 6, keep=keep) as load:
            time.sleep(0.6)
            code = service.stop(signal.SIGTERM)
        record_property("requests answered", len(load.answers))
        record_property("requests lost", len(load.lost))
        assert code == 0
        assert load.lost == []
        assert len(load.answers) > 6
        assert {status for status, _ in load.answers} == {200}
        # Nobody is left at the address.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what a socket gets")
def test_who_connects_when_no_more_are_taken_is_refused_and_not_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as late:
        address = listener.getsockname()
        with socket.create_connection(address) as early:
            assert drop_new_connections(listener)
            late.setblocking(False)
            late.connect_ex(address)
            taken, who = listener.accept()
            assert who == early.getsockname()
            taken.close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()
        # It is still asking, and hears only now that nobody is there.
        assert select.select([], [late], [], 20)[1]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_while_it_stops_it_says_so_and_answers_what_it_accepted() -> None:
    with serving.started() as service:
        with service.connect() as half:
            whole = request(serving.picture())
            half.sendall(whole[:-10])
            time.sleep(0.1)
            service.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 5
            status = 0
            while status != 503:
                with service.connect() as other:
                    other.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    status, headers, _ = answered(other)
                assert time.monotonic() < deadline
            assert (headers["connection"], headers["retry-after"]) == ("close", "1")
            half.sendall(whole[-10:])
            status, headers, body = answered(half)
            assert (status, headers["connection"]) == (200, "close")
            assert json.loads(body)["digit"] is not None
        assert service.process.wait(20) == 0


def test_what_does_not_end_in_time_is_cut_off_with_code_1() -> None:
    arguments = ("--drain-timeout", 0.5, "--body-timeout", 60)
    with serving.started(*arguments) as service, service.connect() as half:
        half.sendall(request(serving.picture())[:-10])
        time.sleep(0.1)
        assert service.stop() == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_told_twice_it_stops_at_once(number: signal.Signals, code: int) -> None:
    with serving.started("--body-timeout", 60) as service, service.connect() as half:
        half.sendall(request(serving.picture())[:-10])
        time.sleep(0.1)
        service.process.send_signal(number)
        time.sleep(0.3)
        assert service.process.poll() is None
        assert service.stop(number) == code


def test_ctrl_c_ends_it_as_it_should() -> None:
    with serving.started() as service:
        assert service.stop(signal.SIGINT) == 0
        _, errors = service.process.communicate()
    lines = errors.splitlines()
    assert lines[0].startswith(f"digitnet answers at {service.address} (")
    assert lines[1:] == ["Stopped."]


# ---- workers


def children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    if not path.exists():
        pytest.skip("this kernel does not list the children of a process")
    names = {
        int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in path.read_text().split()
    }
    # And not what keeps track of what they share.
    return [each for each, words in names.items() if b"spawn_main" in words]


@pytest.fixture(scope="module")
def two() -> Iterator[serving.Process]:
    with serving.started("--workers", 2, "--threads", 1) as service:
        yield service


def one_answer(service: serving.Process) -> tuple[int, dict[str, str], bytes]:
    with service.connect() as connection:
        connection.sendall(request(serving.picture()))
        return answered(connection)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_worker_that_ends_is_replaced(two: serving.Process, number: signal.Signals) -> None:
    before = children(two.process.pid)
    assert len(before) == 2
    os.kill(before[0], number)
    deadline = time.monotonic() + 20
    while len(set(children(two.process.pid)) - set(before)) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(4):
        assert one_answer(two)[0] == 200


def test_workers_are_counted_together(two: serving.Process) -> None:
    def answers() -> float:
        with two.connect() as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            text = answered(connection)[2].decode()
        name = 'digitnet_requests_total{route="/v1/predict",status="200"}'
        return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

    before = answers()
    for _ in range(10):
        assert one_answer(two)[0] == 200
    assert answers() == before + 10


def test_the_threads_of_a_worker_are_as_many_as_asked(two: serving.Process) -> None:
    one_answer(two)
    for worker in children(two.process.pid):
        # The first, that of the queue, and at most one for what it shares.
        assert len(os.listdir(f"/proc/{worker}/task")) <= 3  # noqa: PTH208


def test_workers_end_when_the_first_process_is_killed() -> None:
    with serving.started("--workers", 2) as service:
        workers = children(service.process.pid)
        service.process.kill()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{each}").exists() for each in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_model_that_does_not_exist_ends_workers_with_its_error(tmp_path: Path) -> None:
    for workers in (1, 2):
        command = [sys.executable, "-m", "digitnet", "serve", "--port", "0", "--model", "no.onnx"]
        command += ["--workers", str(workers)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 3
        assert done.stderr.splitlines() == [
            "Error: There is no model file no.onnx. Check the path and the spelling."
        ]


def prints(code: str, words: str) -> None:
    """Let Python run a text, and compare what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, words), done.stderr


def test_nobody_to_tell_that_workers_are_ready_ends_them() -> None:
    code = (
        "import os; from digitnet.serving import workers as w, service_settings as s\n"
        "def broken(): raise BrokenPipeError\n"
        "listener = w.bound_socket('127.0.0.1', 0)\n"
        "told = {'on_ready': broken, 'on_message': print}\n"
        "if __name__ == '__main__':\n"
        "    try: w.run_workers(listener, None, s.ServiceSettings(), 2, **told)\n"
        "    except BrokenPipeError: print(len(w.multiprocessing.active_children()))\n"
    )
    prints(code, "0\n")


def test_a_signal_just_before_the_first_worker_starts_ends_the_service() -> None:
    code = (
        "import os, signal\n"
        "import digitnet.serving.service_settings as s, digitnet.serving.workers as w\n"
        "w.resource_tracker.ensure_running = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
        "listener = w.bound_socket('127.0.0.1', 0)\n"
        "told = {'on_ready': print, 'on_message': print}\n"
        "print(w.run_workers(listener, None, s.ServiceSettings(), 2, **told))\n"
    )
    prints(code, "0\n")


def test_ctrl_c_while_workers_start_is_no_traceback() -> None:
    command = [sys.executable, "-m", "digitnet", "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 20
        while len(children(process.pid)) < 2:
            assert time.monotonic() < deadline
        # As a terminal does it: to all processes.
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.splitlines()) == (0, ["Stopped."])
