"""docs/service.md: its examples work, and its numbers are those of the code."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import serving
from digitnet import Recognizer
from digitnet.serving import connections
from digitnet.serving.bodies import MAX_POINTS
from digitnet.serving.service_settings import ServiceSettings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def service() -> Iterator[serving.Live]:
    with serving.live() as live:
        yield live


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The pictures that the examples name."""
    (tmp_path / "four.png").write_bytes(serving.picture(3))
    (tmp_path / "blank.png").write_bytes(serving.encoded(Image.new("L", (60, 40), 255)))
    return tmp_path


def curl() -> None:
    """Skip where there is no curl that knows ``--json``."""
    program = shutil.which("curl") if shutil.which("bash") else None
    version = (
        subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False).stdout
        if program
        else ""
    )
    found = re.match(r"curl (\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < (7, 82):
        if os.environ.get("DIGITNET_CI"):
            pytest.fail("bash and curl 7.82 must be installed where every change is checked")
        pytest.skip("needs bash, and curl 7.82 or later, which knows --json")


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 10
    assert all(line.startswith("curl ") for line in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_is_answered(command: str, service: serving.Live, folder: Path) -> None:
    curl()
    command = command.replace("http://127.0.0.1:8000", service.address)
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema_version"] == 1, answer
    digit = serving.recognizer().predict(folder / "four.png").digit
    if "predict " in command and "four.png" in command and "batch" not in command:
        assert answer["digit"] == digit
    if "/v1/read" in command and "four.png" in command:
        assert answer["text"] == str(digit)
    if "predict:batch" in command:
        assert [each["digit"] for each in answer["answers"]] == [digit, None]
    if "read:batch" in command:
        assert "problem" in answer["answers"][1]
        assert "problem" not in answer["answers"][0]


def test_the_examples_in_python_run(service: serving.Live, folder: Path) -> None:
    client, own = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    client = client.replace("http://127.0.0.1:8000", service.address)
    done = subprocess.run(
        [sys.executable, "-c", client], capture_output=True, text=True, check=True, cwd=folder
    )
    digit = serving.recognizer().predict(folder / "four.png").digit
    assert done.stdout.splitlines()[:2] == [str(digit), str(digit)]
    names: dict[str, Any] = {"Recognizer": Recognizer}
    exec(own, names)
    assert names["app"].state.service.settings.threads == 2


def test_the_limits_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| .*? \| `--([\w-]+)` \| (.*?) \|$", TEXT, re.MULTILINE))
    defaults = {field.name: field.default for field in dataclasses.fields(ServiceSettings)}
    assert rows.pop("max-body") == f"{defaults['max_body'] // 10**6} MB"
    assert "20 MB" in TEXT
    for flag, value in rows.items():
        assert float(value) == defaults[flag.replace("-", "_")], flag
    assert len(rows) == 5
    assert f"| {connections.MAX_HEAD // 1024} kB, {connections.HEAD_SECONDS:g} s |" in TEXT
    assert f"{connections.WRITE_SECONDS:g} without progress" in TEXT
    assert f"{MAX_POINTS:,} points" in TEXT


def test_what_holds_a_promise_exists() -> None:
    files = set(re.findall(r"`(\w+\.py)`", TEXT))
    assert len(files) > 8
    for name in files:
        assert (ROOT / "tests" / name).is_file(), name


def test_the_command_has_the_defaults_of_the_settings() -> None:
    import inspect

    from digitnet.cli.serve_command import serve

    parameters = inspect.signature(serve).parameters
    for field in dataclasses.fields(ServiceSettings):
        if field.name in parameters and field.name not in ("threads", "page"):
            scale = 10**6 if field.name == "max_body" else 1
            assert parameters[field.name].default * scale == field.default, field.name
