"""`digitnet serve` as a user meets it: what it refuses, and what it says."""

import json
import socket
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest

import serving
from digitnet.serving.service_settings import LOOPBACK_NAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-host"),
        (["--host", "203.0.113.9", "--allow-host", "*"], "Cannot listen"),
        (["--host", "no such host", "--allow-host", "x"], "Cannot listen"),
        (["--port", "70000"], "0 to 65535"),
        (["--port", "-1"], "0 to 65535"),
        (["--workers", "0"], "1 to 64"),
        (["--threads", "0"], "1 to 256"),
        (["--allow-host", "http://x"], "not the name of a host"),
        (["--allow-host", "x:80"], "not the name of a host"),
        (["--page", "nowhere"], "no folder nowhere"),
        (["--max-body", "0"], "--max-body"),
        (["--max-body", "nan"], "--max-body"),
        (["--max-body", "0.0001"], "max_body=100"),
        (["--timeout", "nan"], "timeout=nan"),
        (["--max-inputs", "200"], "max_waiting=64"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    run_cli: Any, arguments: list[str], words: str
) -> None:
    done = run_cli("serve", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr


def test_a_port_that_is_taken_is_named(run_cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli("serve", "--port", port)
    assert done.code == 2
    assert f"Port {port} of 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_flags_become_settings(run_cli: Any, tmp_path: Any) -> None:
    with mock.patch("digitnet.serving.server.serve_socket", return_value=0) as served:
        done = run_cli(
            *("serve", "--port", 0, "--allow-host", "a.example", "--allow-host", "b.example"),
            *("--threads", 3, "--page", tmp_path, "--max-body", 2.5, "--timeout", 9, "-q"),
        )
    assert (done.code, done.stderr) == (0, "")
    listener, model, settings, _ = served.call_args.args
    listener.close()
    assert model is None
    assert settings.allowed_hosts == (*LOOPBACK_NAMES, "a.example", "b.example")
    assert (settings.threads, settings.page, settings.timeout) == (3, tmp_path, 9)
    assert settings.max_body == 2_500_000


def test_it_says_where_it_answers_once_it_does(run_cli: Any) -> None:
    def serve(listener: Any, _model: Any, _settings: Any, on_ready: Any) -> int:
        on_ready()
        listener.close()
        return 143

    with mock.patch("digitnet.serving.server.serve_socket", serve):
        done = run_cli("serve", "--port", 0, "--threads", 2, "--json")
    assert done.code == 143
    said = json.loads(done.stdout)
    assert said["address"].startswith("http://127.0.0.1:")
    assert (said["workers"], said["threads"], said["schema_version"]) == (1, 2, 1)
    assert said["address"] in done.stderr


def test_another_address_answers_to_its_names() -> None:
    arguments = ("--host", "0.0.0.0", "--allow-host", "digits.example")
    with serving.started(*arguments) as service, service.connect() as connection:
        for host, status in (("digits.example", 200), ("localhost", 200), ("x.example", 421)):
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert serving.answered(connection)[0] == status


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client", "httptools"])
def test_without_the_extra_it_says_how_to_get_it(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "sys.argv = ['digitnet', 'serve', '--port', '0']\n"
        "from digitnet.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert f"'{package}'" in done.stderr
    assert "pip install 'digitnet[serve]'" in done.stderr
