"""Tables about the service, from the result files of ``make service``, for tools/render_docs.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

_RESULTS = Path(__file__).parent.parent / "docs" / "results"
RESULT, PROMISES = _RESULTS / "service.json", _RESULTS / "promises.json"
# Strokes and ink a second are promised of a machine with this speed, in GFLOP/s.
_SPEED, _A_SECOND = 150, 500

_Row = tuple[str, str, str, str]


def blocks() -> dict[str, Callable[[], str]]:
    """Return the blocks of docs/service.md."""
    return {"service": service, "promises": promises}


def promises() -> str:
    """Return what is promised, by which tests it is held, and the figures that these note."""
    found = json.loads(PROMISES.read_text(encoding="utf-8"))
    header = ("promise", "held by", "tests", "figures")
    return f"{table(header, list(map(_promise, found['promises'].items())))}\n\n{_hostile(found)}"


def _promise(item: tuple[str, dict[str, Any]]) -> _Row:
    promise, found = item
    files = dict.fromkeys(f"`{each.partition('::')[0]}`" for each in found["tests"])
    missed = [f"{found[kind]} {kind}" for kind in ("failed", "skipped") if found[kind]]
    figures = "; ".join(f"{name}: {_figure(value)}" for name, value in found["figures"].items())
    return (promise, ", ".join(files), ", ".join([str(found["held"]), *missed]), figures)


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2g}"


def _hostile(found: dict[str, Any]) -> str:
    harm = found["hostile"]
    alone, beside = (1000 * harm[name]["200"]["p99"] for name in ("alone", "beside"))
    statuses = ", ".join(sorted(harm["beside"]))
    return (
        f"For {harm['seconds']:.0f} s, {harm['attackers']} clients that mean harm (a length of "
        f"10 GB, a body that drips, endless bodies in chunks and in a form, 100,000 parts, a field "
        f"of 1 GB, JSON 900,000 levels deep, heads without end) went at a service without a pause; "
        f"they were refused {harm['refused']:,} times. Others, who sent 40 pictures a second, "
        f"got the statuses {statuses}, 99 % of their answers within {beside:.0f} ms (alone "
        f"{alone:.0f} ms), and {harm['broken']} broken connections; the process grew by "
        f"{max(0.0, harm['growth'] / 1e6):.1f} MB."
    )


def service() -> str:
    """Return what was promised of the service beside what was measured, misses included."""
    if not RESULT.is_file():
        return "Not measured yet; `make service` does."
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = [*_speed(found), *_overload(found["overload"]), *_soak(found["soak"])]
    sizes, machine = found["sizes"], found["environment"]["cpu"]
    processes = f"{found['workers']} × {found['threads']} threads"
    return (
        f"{table(('', 'promised', 'measured', ''), rows)}\n\n"
        f"Medians of {sizes['rounds']} rounds of {sizes['requests']:,} requests, {processes} of an "
        f"{machine} with the load generator beside them; a large matrix product reaches "
        f"{found['matrix_product_gflops']:.0f} GFLOP/s on its cores together. The rival is "
        f"FastAPI and ONNX Runtime as tutorials write it (`benchmarks/peer_fastapi.py`), around "
        f"the same engine and in one process, as the engine alone is; the better of its two kinds "
        f"counts. Overload lasts {sizes['overload_seconds']:.0f} s."
    )


def _speed(found: dict[str, Any]) -> list[_Row]:
    rounds = {name: each["median"] for name, each in found["rounds"].items()}
    rivals = [rounds[f"{name}_per_second"] for name in ("rival_coroutine", "rival_threads")]
    lead = rounds["service_form_per_second"] / max(rivals)
    least = _A_SECOND * min(1.0, found["matrix_product_gflops"] / _SPEED)
    strokes, ink = rounds["service_strokes_per_second"], rounds["service_ink_per_second"]
    start, memory = found["start_to_ready"]["median"], found["memory"]["resident"] / 1e6
    extra, over = 1000 * rounds["idle_png_extra"], rounds["service_p99_over_mean"]
    share, many = rounds["share_of_engine"], f"{rounds['service_per_second']:.0f} a second"
    connections = found["connections"]
    return [
        _row(
            f"280 × 280 PNG, {connections} connections, of what the engine alone reads",
            "≥ 50 %",
            f"{100 * share:.0f} %: {many}",
            share >= 0.5,
        ),
        _row("the same, p99 over mean", "≤ 4", f"{over:.1f}", over <= 4),
        _row("the same as forms, beside the rival", "ahead", f"× {lead:.2f}", lead > 1),
        _row("pen strokes a second", f"≥ {least:.0f}", f"{strokes:.0f}", strokes >= least),
        _row("ready ink a second", f"≥ {least:.0f}", f"{ink:.0f}", ink >= least),
        _row(
            "one idle connection, p50 above the engine's own",
            "≤ 3 ms",
            f"{extra:.1f} ms: {1000 * rounds['idle_png_p50']:.1f} ms",
            extra <= 3,
        ),
        _row("from the start to ready", "≤ 1.5 s", f"{start:.2f} s", start <= 1.5),
        _row("resident memory of a process", "≤ 250 MB", f"{memory:.0f} MB", memory <= 250),
    ]


def _overload(found: dict[str, Any]) -> list[_Row]:
    own = found["service"]
    answers = own["during"]["answers"]
    statuses = sorted(answers)
    accepted = answers["200"]["p99"]
    rival = min(
        found[name]["during"]["answers"]["200"]["p99"]
        for name in ("rival_coroutine", "rival_threads")
    )
    turned = answers.get("503", {"p99": 0.0, "p50": 0.0})
    recovered, broken = own["seconds_to_20_answers_after"], own["during"]["broken_connections"]
    healthy = set(own["after"]["answers"]) == {"200"} and recovered <= 2
    offered = own["during"]["offered_per_second"] / own["capacity_per_second"]
    return [
        _row(
            f"overload, {own['connections']} connections, {offered:.1f} times the capacity: "
            "statuses",
            "200, 503",
            ", ".join(statuses),
            set(statuses) <= {"200", "503"} and not broken,
        ),
        _row(
            "turned away within (p99; p50)",
            "≤ 50 ms",
            f"{1000 * turned['p99']:.0f} ms; {1000 * turned['p50']:.0f} ms",
            turned["p99"] <= 0.05,
        ),
        _row(
            "accepted within (p99), beside the rival",
            "ahead",
            f"{accepted:.2f} s, rival {rival:.2f} s",
            accepted < rival,
        ),
        _row("healthy again after", "≤ 2 s", f"{recovered:.1f} s", healthy),
    ]


def _soak(found: dict[str, Any]) -> list[_Row]:
    growth, (least, last) = found["bytes_per_request"], found["descriptors"]
    title = f"{found['requests']:,} requests of {found['clients']} clients"
    swapped, threads, load = found["swapped_or_wrong"], found["threads"], found["load"]
    answered = set(load["answers"]) == {"200"} and not load["broken_connections"]
    return [
        _row(f"{title}: answers swapped", "0", f"{swapped}", answered and swapped == 0),
        _row("the same: growth a request", "< 1 kB", f"{growth:.0f} bytes", growth < 1000),
        _row(
            "the same: open files and threads",
            "constant",
            f"{least} and {last}; {', '.join(map(str, threads))}",
            last <= least + found["clients"] and len(threads) == 1,
        ),
    ]


def _row(title: str, promised: str, reached: str, met: bool) -> _Row:
    return (title, promised, reached, "reached" if met else "**missed**")
