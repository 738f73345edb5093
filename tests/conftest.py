"""Every test: no network beyond this machine, an empty cache, and none of the user's settings."""

import os
from pathlib import Path

import hypothesis
import pytest
import pytest_socket

from digitnet.data.datasets import Dataset, load_dataset

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
