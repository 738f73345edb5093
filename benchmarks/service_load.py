"""What the service bears: throughput, latency, overload, a long soak; beside engine and rival.

Engine, service and rival take turns in each round, on the same cores as the load generator
(``http_load``), which is a process of its own; the figure to quote is the median over the rounds.
The rival (``peer_fastapi``) is a service as tutorials write it, around the same engine. Run it on
an idle machine:

    python benchmarks/service_load.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import http_load
from conditions import conditions
from digitnet.experiments.inference_bench import product_gflops
from digitnet.files import write_json
from digitnet.machine import usable_cores
from digitnet.reading.recognizer import Recognizer
from timing import summary

HERE = Path(__file__).parent
RESULT = HERE.parent / "docs" / "results" / "service.json"
CONNECTIONS, CLIENTS = 32, 64
# Of the capacity that was measured before.
OVERLOAD = 10
# Of the soak, what counts as warming up.
_WARM_UP = 0.2


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    requests: int = 2_000
    idle: int = 200
    overload_seconds: float = 60.0
    soak: int = 100_000
    starts: int = 5


def main() -> None:
    """Measure, write the result and print what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=Sizes.rounds)
    parser.add_argument("--requests", type=int, default=Sizes.requests, help="in a round")
    parser.add_argument("--idle", type=int, default=Sizes.idle, help="over one idle connection")
    parser.add_argument("--overload-seconds", type=float, default=Sizes.overload_seconds)
    parser.add_argument("--soak", type=int, default=Sizes.soak, help="requests of 64 clients")
    parser.add_argument("--starts", type=int, default=Sizes.starts)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    sizes = Sizes(
        args.rounds, args.requests, args.idle, args.overload_seconds, args.soak, args.starts
    )
    result = measure(sizes, args.workers, args.threads)
    write_json(args.out, result)
    print(json.dumps({key: result[key] for key in result if key != "environment"}, indent=2))


def measure(sizes: Sizes, workers: int, threads: int) -> dict[str, Any]:
    """Return everything that is measured."""
    serve = ["--workers", str(workers), "--threads", str(threads)]
    rounds = []
    for number in range(sizes.rounds):
        rounds.append(one_round(sizes, serve, threads * workers))
        print(f"round {number + 1}/{sizes.rounds}", file=sys.stderr)
    together = {name: summary([one[name] for one in rounds]) for name in rounds[0]}
    capacity = together["service_per_second"]["median"]
    print("overload and soak", file=sys.stderr)
    return {
        "schema_version": 1,
        "sizes": vars(sizes),
        "workers": workers,
        "threads": threads,
        "connections": CONNECTIONS,
        "matrix_product_gflops": product_gflops(usable_cores()),
        "rounds": together,
        "start_to_ready": summary([start_to_ready(serve) for _ in range(sizes.starts)]),
        "memory": memory(serve),
        "overload": {
            "service": overload(service(serve), capacity, sizes),
            "rival_coroutine": overload(rival([]), capacity, sizes),
            "rival_threads": overload(rival(["--threads"]), capacity, sizes),
        },
        "soak": soak(serve, sizes, workers),
        "environment": conditions(),
    }


# ---- processes


@dataclass(frozen=True)
class Server:
    """A process that serves."""

    port: int
    process: subprocess.Popen[str]


@contextlib.contextmanager
def service(arguments: list[str]) -> Iterator[Server]:
    """Run digitnet's service during the block."""
    command = [sys.executable, "-m", "digitnet", "serve", "--port", "0", "--json", "--quiet"]
    with _process([*command, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout
        line = process.stdout.readline()
        yield Server(int(json.loads(line)["address"].rpartition(":")[2]), process)


@contextlib.contextmanager
def rival(arguments: list[str]) -> Iterator[Server]:
    """Run the rival during the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / "peer_fastapi.py"), "--port", str(port), *arguments]
    with _process(command) as process:
        _wait_for(port)
        yield Server(port, process)


@contextlib.contextmanager
def _process(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **more)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=30)
        process.kill()
        process.communicate()


def _wait_for(port: int, path: str = "/openapi.json") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
            return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"nothing answers at port {port}")


def load(server: Server, **plan: Any) -> dict[str, Any]:
    """Return what came of requests to a server."""
    done = subprocess.run(
        [sys.executable, str(HERE / "http_load.py")],
        input=json.dumps({"port": server.port, **plan}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the load generator failed:\n{done.stderr}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def tree(process: int) -> list[int]:
    """Return a process and those that it has started, as Linux lists them."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    inner = listed.read_text().split() if listed.exists() else []
    return [process, *(each for child in inner for each in tree(int(child)))]


def status(process: int) -> dict[str, int]:
    """Return the resident bytes, the open files and the threads of a process."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    return {
        "resident": int(fields["VmRSS"].split()[0]) * 1024,
        "descriptors": len(os.listdir(f"/proc/{process}/fd")),  # noqa: PTH208
        "threads": int(fields["Threads"]),
    }


def largest(process: int) -> int:
    """Return the process of a tree that takes the most memory: a worker."""
    return max(tree(process), key=lambda each: status(each)["resident"])


# ---- what is measured


def one_round(sizes: Sizes, serve: list[str], threads: int) -> dict[str, float]:
    """Return the figures of one round."""
    found = engine(sizes, threads)
    with service(serve) as server:
        load(server, kind="png", requests=100, connections=4)
        for kind in ("png", "ink", "strokes"):
            answers = load(server, kind=kind, requests=sizes.idle, connections=1)["answers"]
            found[f"idle_{kind}_p50"] = answers["200"]["p50"]
        for kind in ("png", "form", "ink", "strokes"):
            count = sizes.requests * (1 if kind in ("png", "form") else 2)
            done = load(server, kind=kind, requests=count, connections=CONNECTIONS)
            found |= _figures("service" if kind == "png" else f"service_{kind}", done)
    for name, arguments in (("rival_coroutine", []), ("rival_threads", ["--threads"])):
        with rival(arguments) as server:
            load(server, kind="form", requests=100, connections=4)
            done = load(server, kind="form", requests=sizes.requests, connections=CONNECTIONS)
            found |= _figures(name, done)
    found["share_of_engine"] = found["service_per_second"] / found["engine_per_second"]
    found["idle_png_extra"] = found["idle_png_p50"] - found["engine_png_p50"]
    return found


def _figures(name: str, done: dict[str, Any]) -> dict[str, float]:
    times = done["answers"]["200"]
    assert set(done["answers"]) == {"200"}, done
    return {
        f"{name}_per_second": done["per_second"],
        f"{name}_mean": times["mean"],
        f"{name}_p99": times["p99"],
        f"{name}_p99_over_mean": times["p99"] / times["mean"],
    }


def engine(sizes: Sizes, threads: int) -> dict[str, float]:
    """Return how fast the engine alone is: one picture after the other, and on all threads."""
    reader, given = Recognizer(threads=threads), http_load.pictures()
    several = (given * (sizes.requests // len(given) + 1))[: sizes.requests]
    for one in given:
        reader.predict(one)
    times = []
    for number in range(sizes.idle):
        started = time.perf_counter()
        reader.predict(given[number % len(given)])
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    for _ in reader.predict_each(several):
        pass
    elapsed = time.perf_counter() - started
    return {
        "engine_png_p50": statistics.median(times),
        "engine_per_second": sizes.requests / elapsed,
    }


def start_to_ready(serve: list[str]) -> float:
    """Return the seconds from the command to the first answer of /readyz."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "digitnet", "serve", "--port", str(port), "--quiet", *serve]
    started = time.perf_counter()
    with _process(command):
        _wait_for(port, "/readyz")
        return time.perf_counter() - started


def memory(serve: list[str]) -> dict[str, int]:
    """Return what a worker takes after pictures of all kinds."""
    with service(serve) as server:
        for kind in ("png", "ink", "strokes"):
            load(server, kind=kind, requests=500, connections=CONNECTIONS)
        return status(largest(server.process.pid))


def overload(
    served: contextlib.AbstractContextManager[Server], capacity: float, sizes: Sizes
) -> dict[str, Any]:
    """Return what happens at ten times the capacity, and how soon it is over."""
    connections = CONNECTIONS * OVERLOAD
    plan = {"kind": "form", "connections": connections, "rate": OVERLOAD * capacity}
    with served as server:
        load(server, kind="form", requests=100, connections=4)
        done = load(server, seconds=sizes.overload_seconds, **plan)
        ended = time.perf_counter()
        after = load(server, kind="form", requests=20, connections=1)
        recovered = time.perf_counter() - ended
    return {
        "connections": connections,
        "capacity_per_second": capacity,
        "asked_per_second": plan["rate"],
        "during": done,
        "after": after,
        # With the start of the load generator.
        "seconds_to_20_answers_after": recovered,
    }


def soak(serve: list[str], sizes: Sizes, workers: int = 1) -> dict[str, Any]:
    """Return what many requests of many clients leave behind, and whether answers were swapped."""
    samples: list[dict[str, float]] = []
    over = threading.Event()
    with service(serve) as server:
        load(server, kind="mixed", requests=max(200, sizes.soak // 50), connections=CLIENTS)
        worker = largest(server.process.pid)
        started = time.perf_counter()

        def watch() -> None:
            while not over.wait(max(0.2, sizes.soak / 100_000)):
                seconds = time.perf_counter() - started
                samples.append({"seconds": seconds, **status(worker)})

        watcher = threading.Thread(target=watch)
        watcher.start()
        plan: dict[str, Any] = {"kind": "mixed", "requests": sizes.soak, "connections": CLIENTS}
        done = load(server, check=True, **plan)
        over.set()
        watcher.join()
        last = status(worker)
    return {
        "clients": CLIENTS,
        "requests": sizes.soak,
        "load": done,
        "swapped_or_wrong": done["other_answers"],
        # One worker is looked at, which answers its share of them.
        "bytes_per_request": workers * _slope(samples, sizes.soak),
        "resident_first": samples[0]["resident"] if samples else last["resident"],
        "resident_last": last["resident"],
        "descriptors": [min(_column(samples, last, "descriptors")), last["descriptors"]],
        "threads": sorted(set(_column(samples, last, "threads"))),
    }


def _column(samples: list[dict[str, float]], last: dict[str, int], name: str) -> list[int]:
    return [int(sample[name]) for sample in samples] + [last[name]]


def _slope(samples: list[dict[str, float]], requests: int) -> float:
    """Return by how many bytes a process grew with each request, after it had warmed up."""
    kept = [one for one in samples if one["seconds"] >= _WARM_UP * samples[-1]["seconds"]]
    if len(kept) < 3:
        return 0.0
    seconds = np.array([one["seconds"] for one in kept])
    resident = np.array([one["resident"] for one in kept])
    growth = float(np.polyfit(seconds, resident, 1)[0])
    return growth * samples[-1]["seconds"] / requests


if __name__ == "__main__":
    main()
