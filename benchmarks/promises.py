"""What docs/service.md promises, held by tests: how many hold it, and the figures they note.

    python benchmarks/promises.py

Each promise names the tests that hold it. They are run, and what they note by pytest's
``record_property`` is put together: whole numbers are counts and added up, of fractions the largest
is kept. Clients that mean harm are let loose on a service of its own, beside others that do not.
Needs an idle machine for the latter, and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from conditions import conditions
from digitnet.files import write_json
from service_load import Server, largest, load, service, status

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "results" / "promises.json"

# What is promised, and the tests that hold it: a file, or a file and words of its tests' names.
PROMISES: dict[str, tuple[str, ...]] = {
    "a bad picture has the outcome of the Python API, and harms nobody": (
        "test_serving_answer_routes.py::bad_picture",
        "test_pictures.py::bomb",
    ),
    "one digit is one, however it was encoded": ("test_pictures.py::encod",),
    "the same answer alone, in a batch and at any place of it": (
        "test_serving_answer_routes.py::batch",
        "test_serving_work_queue.py",
    ),
    "the same answer in Python, over REST, from the command line and in the browser": (
        "test_golden.py",
        "test_serving_client.py",
        "test_serving_answer_routes.py::command_line",
    ),
    "limits hold before anything is parsed, whatever the head of a request says": (
        "test_serving_connections.py",
        "test_serving_bodies.py",
        "test_serving_guard.py::a_body",
    ),
    "too much is turned away at once, and passes": (
        "test_serving_guard.py::overload",
        "test_serving_connections.py::too_many or without_room",
        "test_service_load.py::overload",
    ),
    "a service that is told to stop under load loses nothing, with one process or several": (
        "test_serving_server.py",
    ),
    "no growth of memory, files or threads": ("test_serving_connections.py::memory",),
    "as many threads as asked for": (
        "test_serving_work_queue.py::threads",
        "test_serving_server.py::threads",
    ),
    "answers are never swapped": ("test_service_load.py::swapped or compared",),
    "a download that is damaged or hostile is refused, and the next source asked": (
        "test_sources.py",
        "test_fetching.py",
        "test_fetching_copies.py",
    ),
    "no connection to anywhere": (
        "test_serving_guard.py::asked_of_anybody",
        "test_page.py::another_host",
        "test_browser_engine.py::network",
    ),
    "this machine alone by default; no foreign name, no path out of the page, no upload, "
    "no fetching": (
        "test_serving_guard.py::name or asked_of_anybody",
        "test_serving_bodies.py::path",
        "test_serving_page_files.py",
        "test_serve_command.py",
    ),
    "a strict policy for the page, nothing from elsewhere, nothing on its console": (
        "test_serving_guard.py::browser",
        "test_page.py::console or accessible",
        "test_serving_api_schemas.py::elsewhere",
    ),
    "the description of the interface is what the service does": ("test_serving_api_schemas.py",),
}


def main() -> None:
    """Run what holds the promises, write the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="that harm is tried for")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result = {
        "schema_version": 1,
        "hostile": hostile(args.seconds),
        "promises": {promise: held(tests) for promise, tests in PROMISES.items()},
        "environment": conditions(),
    }
    write_json(args.out, result)
    print(json.dumps({key: result[key] for key in ("hostile", "promises")}, indent=2))


# ---- what tests hold

# What JUnit calls a case that did not hold.
_OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def held(tests: tuple[str, ...]) -> dict[str, Any]:
    """Run tests and return how many held, how many did not, and what they noted."""
    found: dict[str, Any] = {"tests": list(tests), "held": 0, "failed": 0, "skipped": 0}
    figures: dict[str, float] = {}
    for each in tests:
        for case in cases(*each.partition("::")[::2]):
            outcomes = [_OUTCOMES[child.tag] for child in case if child.tag in _OUTCOMES]
            found[outcomes[0] if outcomes else "held"] += 1
            for noted in case.iter("property"):
                name, value = noted.attrib["name"], json.loads(noted.attrib["value"])
                before = figures.get(name, type(value)(0))
                figures[name] = before + value if isinstance(value, int) else max(before, value)
    return found | {"figures": figures}


def cases(file: str, words: str) -> list[ElementTree.Element]:
    """Run the tests of a file, those with these words in their names, and return what came out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "", f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1", *(["-k", words] if words else [])]
        print(f"{file} {words}", file=sys.stderr)
        subprocess.run([*command, f"tests/{file}"], cwd=ROOT, capture_output=True, check=False)
        found = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314  written by pytest
    if not found:
        sys.exit(f"no test of {file} has {words!r} in its name")
    return found


# ---- clients that mean harm


def hostile(seconds: float) -> dict[str, Any]:
    """Return what well-behaved clients notice of others, and what those leave behind."""
    plan: dict[str, Any] = {"kind": "png", "connections": 4, "rate": 40.0, "seconds": seconds}
    with service(["--threads", "2"]) as server:
        load(server, kind="png", requests=200, connections=4)
        alone = load(server, **plan)
        process = largest(server.process.pid)
        before = status(process)
        with attacked(server) as refused:
            beside = load(server, **plan)
        after = status(process)
    return {
        "seconds": seconds,
        "attackers": len(ATTACKS),
        "refused": sum(refused),
        "alone": alone["answers"],
        "beside": beside["answers"],
        "broken": beside["broken_connections"],
        "growth": after["resident"] - before["resident"],
    }


@contextlib.contextmanager
def attacked(server: Server) -> Iterator[list[int]]:
    """Let every kind of attacker loose during the block; each counts how often it was refused."""
    over = threading.Event()
    refused = [0] * len(ATTACKS)

    def attack(kind: int) -> None:
        while not over.wait(0.05):
            with contextlib.suppress(OSError):
                if _attack(server.port, *ATTACKS[kind], over):
                    refused[kind] += 1

    threads = [threading.Thread(target=attack, args=(kind,)) for kind in range(len(ATTACKS))]
    for thread in threads:
        thread.start()
    try:
        yield refused
    finally:
        over.set()
        for thread in threads:
            thread.join()


_FORM = b"Content-Type: multipart/form-data; boundary=X\r\n"
_PART = b"--X\r\nContent-Disposition: form-data; name=a\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# What stands below the first lines of a request, what is then sent again and again, and the
# seconds between.
ATTACKS: tuple[tuple[bytes, bytes, float], ...] = (
    (b"Content-Length: 10000000000\r\n\r\n", b"", 0.0),
    (b"Content-Length: 19000000\r\n\r\n", b"x", 0.05),  # drips
    (_CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n", 0.0),  # endless
    (_FORM + _CHUNKED, b"10000\r\n" + b"preamble" * 8192 + b"\r\n", 0.0),
    (_FORM + b"Content-Length: 4900000\r\n\r\n" + _PART * 100_000, b"", 0.0),
    (_FORM + b"Content-Length: 1000000000\r\n\r\n" + _PART, bytes(65536), 0.0),
    (b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n" + b"[" * 900_000, b"", 0),
    (b"", b"A: b\r\n" * 1000, 0.0),  # an endless head
    (b"Host", b"", 0.0),  # a head that never ends
)


def _attack(port: int, head: bytes, more: bytes, pause: float, over: threading.Event) -> bool:
    """Send one request that means harm; return whether it was refused."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n" + head)
        while more and not over.wait(pause):
            connection.sendall(more)
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(4096)
                return answer[9:10] == b"4"
    return False


if __name__ == "__main__":
    main()
