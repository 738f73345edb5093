"""``digitnet serve``: the recogniser as a service over HTTP.

Guarantees: nothing but this machine is served unless an address and names are given; the line that
says where it answers is printed once it does.
"""

from __future__ import annotations

from pathlib import Path

import typer

from digitnet.cli.console import Output, show_json
from digitnet.errors import UsageError, importing_extras
from digitnet.text import count_of

EPILOG = (
    "Ctrl-C and SIGTERM let it answer what it has accepted, and stop: exit code 0, 1 when the "
    "time for it ran out, 130 or 143 when told twice. See docs/service.md."
)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MEGABYTE, _MOST_MEGABYTES = 1_000_000, 1_000


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: list[str] | None = None,
    model: Path | None = None,
    workers: int = 1,
    threads: int | None = None,
    page: Path | None = None,
    max_body: float = 20.0,
    max_inputs: int = 32,
    max_waiting: int = 64,
    max_connections: int = 512,
    timeout: float = 30.0,
    body_timeout: float = 20.0,
    drain_timeout: float = 30.0,
    output: Output,
) -> None:
    """Answer over HTTP: a page to draw on, and an API.

    Args:
        host (ADDRESS): Address to listen on; 0.0.0.0 for all interfaces.
        port (N): Port to listen on; 0 takes a free one.
        allow_host (NAME): Name by which clients call the service, besides localhost; may be
            repeated; '*' for any. Needed with --host.
        model (FILE_OR_RUN): An exported network, or a run folder that holds one; default:
            digitnet's own.
        workers (N): Processes.
        threads (N): Pictures read at a time in each process; default: the cores, divided among
            the processes.
        page (DIR): Folder of the page to serve; default: the one that `make page` built, if any,
            else the one that comes with digitnet.
        max_body (MB): Largest request body.
        max_inputs (N): Most pictures in one batch.
        max_waiting (N): Pictures that may wait in each process; further ones are turned away.
        max_connections (N): Most connections of each process.
        timeout (S): Seconds allowed for answering a request.
        body_timeout (S): Seconds allowed for receiving a request.
        drain_timeout (S): Seconds allowed for finishing after a stop signal.
        as_json (--json): Print one JSON object to stdout when it is ready.
        quiet (--quiet -q): Print errors only.
    """
    from digitnet.machine import usable_cores
    from digitnet.serving.service_settings import (
        LOOPBACK_NAMES,
        ServiceSettings,
        built_page,
        shipped_page,
    )
    from digitnet.serving.workers import MAX_WORKERS, address_of, bound_socket, run_workers

    if not 1 <= workers <= MAX_WORKERS:
        raise UsageError(f"--workers cannot be {workers}; allowed: 1 to {MAX_WORKERS}.")
    if not 0 <= port <= 65535:
        raise UsageError(f"--port cannot be {port}; allowed: 0 to 65535.")
    if host not in _LOOPBACK and not allow_host:
        raise UsageError(
            f"--host {host} lets other machines in; name how they call this one with --allow-host "
            "NAME (the header Host of their requests), or --allow-host '*' for any name."
        )
    # Written so that NaN is refused.
    if not 0 < max_body <= _MOST_MEGABYTES:
        raise UsageError(f"--max-body cannot be {max_body}; allowed: up to {_MOST_MEGABYTES:,} MB.")
    if threads is not None and not 1 <= threads <= 256:
        raise UsageError(f"--threads cannot be {threads}; allowed: 1 to 256.")
    with importing_extras():
        settings = ServiceSettings(
            allowed_hosts=(*LOOPBACK_NAMES, *(allow_host or ())),
            threads=threads or max(1, usable_cores() // workers),
            max_body=round(max_body * _MEGABYTE),
            max_inputs=max_inputs,
            max_waiting=max_waiting,
            max_connections=max_connections,
            timeout=timeout,
            body_timeout=body_timeout,
            drain_timeout=drain_timeout,
            page=page or (None if model else built_page()) or shipped_page(),
        )
        listener = bound_socket(host, port)
        address = address_of(listener)

        def ready() -> None:
            each = count_of(settings.threads, "thread")
            share = f"{each}" if workers == 1 else f"{workers} processes of {each}"
            output.note(f"digitnet answers at {address} ({share}). Stop it with Ctrl-C.")
            if output.as_json:
                show_json({"address": address, "workers": workers, "threads": settings.threads})

        if workers > 1:
            code = run_workers(
                listener, model, settings, workers, on_ready=ready, on_message=output.note
            )
        else:
            from digitnet.serving.server import serve_socket

            code = serve_socket(listener, model, settings, ready)
    output.note("Stopped.")
    if code:
        raise typer.Exit(code)
