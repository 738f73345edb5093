"""The load benchmark: it counts and compares what it says, and runs from end to end."""

import asyncio
from typing import Any

import pytest

import http_load
import service_load
import serving


def follow(service: serving.Live, **plan: Any) -> dict[str, Any]:
    return asyncio.run(http_load.follow({"port": service.port, **plan}))


@pytest.mark.parametrize("kind", ["form", "mixed"])
def test_every_request_is_counted_and_compared_with_the_engine(kind: str) -> None:
    with serving.live() as service:
        found = follow(service, kind=kind, requests=70, connections=8, check=True)
    assert {status: times["count"] for status, times in found["answers"].items()} == {"200": 70}
    assert (found["other_answers"], found["broken_connections"]) == (0, 0)
    times = found["answers"]["200"]
    assert 0 < times["p50"] <= times["p99"] <= times["most"]


def test_answers_that_are_swapped_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = http_load.expected
    monkeypatch.setattr(http_load, "expected", lambda kind: real(kind)[::-1])
    with serving.live() as service:
        found = follow(service, kind="ink", requests=64, connections=4, check=True)
    assert found["other_answers"] > 32


def test_a_rate_is_kept_and_time_ends_it() -> None:
    with serving.live() as service:
        found = follow(service, kind="ink", seconds=0.5, connections=4, rate=40)
    # Those that were due when time was over are still sent.
    assert 15 <= found["answers"]["200"]["count"] <= 26


@pytest.mark.slow
def test_overload_and_soak_run_from_end_to_end() -> None:
    sizes = service_load.Sizes(overload_seconds=2.0, soak=600)
    over = service_load.overload(service_load.service(["--threads", "1"]), 100.0, sizes)
    assert set(over["during"]["answers"]) <= {"200", "503"}
    assert over["during"]["broken_connections"] == 0
    found = service_load.soak(["--threads", "1"], sizes)
    assert found["load"]["answers"]["200"]["count"] == 600
    assert found["swapped_or_wrong"] == 0
    assert max(found["threads"]) - min(found["threads"]) <= 1
