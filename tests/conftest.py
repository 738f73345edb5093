"""Every test: no network beyond this machine, an empty cache, and none of the user's settings."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from unittest import mock

import hypothesis
import pytest
import pytest_socket

from digitnet.cli import app
from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset

# Before torch is loaded, here and in every process that a test starts: tests run side by side, and
# threads that want one core wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine is no failure of a property.
hypothesis.settings.register_profile("digitnet", deadline=None)
# The same examples each time: a change is judged by what it changes. Elsewhere the search goes on.
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("DIGITNET_CI") else "digitnet")


@pytest.fixture(autouse=True)
def _only_loopback(request: pytest.FixtureRequest) -> None:
    """Let sockets reach this machine only; a test may ask for none at all by `disable_socket`."""
    if "disable_socket" not in request.keywords:
        pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _no_user_settings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Point the cache at an empty folder and forget what the user has set."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DIGITNET_CACHE_DIR", str(folder))
    monkeypatch.delenv("DIGITNET_DATA_DIR", raising=False)
    monkeypatch.delenv("DIGITNET_OFFLINE", raising=False)
    return folder


@pytest.fixture(scope="session")
def sample() -> Dataset:
    """5,000 training and 1,000 test digits of MNIST."""
    return load_dataset("sample")


class Done(NamedTuple):
    """What a command ended with."""

    code: int
    stdout: str
    stderr: str


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _run_cli(
    *args: object,
    stdin: bytes | None = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    terminal: bool = False,
    stdout: TextIO | None = None,
    encoding: str = "utf-8",
) -> Done:
    out = stdout or io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    err = (Terminal if terminal else io.TextIOWrapper)(io.BytesIO(), encoding=encoding)
    given = (Terminal if stdin is None else io.TextIOWrapper)(io.BytesIO(stdin or b""))
    command = ["digitnet", *map(str, args)]
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.object(sys, "stdin", given),
        mock.patch.dict(os.environ, env or {}),
        contextlib.chdir(cwd or Path()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        app.main()
    printed = "" if stdout else _text(out, encoding)
    errors = _text(err, encoding)
    assert "Traceback" not in errors
    return Done(int(end.value.code or 0), printed, errors)


def _text(stream: Any, encoding: str) -> str:
    stream.flush()
    return str(stream.buffer.getvalue().decode(encoding))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Give torch one thread: small work is slower on several, much slower on busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Done]:
    """Run the command line in this process: ``run_cli("train", "--epochs", 1)``.

    It returns ``(code, stdout, stderr)``; warnings are errors, as in every test, and a traceback is
    a failure. Keywords: ``stdin`` (bytes; None is a terminal), ``env`` (added to the environment),
    ``cwd``, ``terminal`` (stderr is one), ``stdout`` (a stream to write to), ``encoding`` (of the
    streams).
    """
    return _run_cli
