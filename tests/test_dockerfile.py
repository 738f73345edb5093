"""The Dockerfile, as far as it goes without Docker; ``tools/check_wheel.py`` does its steps."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE = ROOT / "deploy" / "Dockerfile"


def steps() -> list[tuple[str, str]]:
    """Return the instructions: a word and what follows it."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def step(word: str) -> str:
    (found,) = [rest for each, rest in steps() if each == word]
    return found


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(step("ENV")))


def test_it_ends_with_a_user_who_may_nothing_and_a_check_of_health() -> None:
    words = [word for word, _ in steps()]
    assert words[0] == "FROM"
    assert set(words) == {"FROM", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert words.index("RUN") < words.index("USER") < words.index("CMD")
    user = step("USER")
    assert f"useradd --system --no-create-home --shell /usr/sbin/nologin {user}" in step("RUN")
    source, _ = step("COPY").split()
    # Only the wheel goes in.
    assert source == "digitnet-*.whl"
    assert "/readyz" in step("HEALTHCHECK")
    assert json.loads(step("HEALTHCHECK").partition("CMD ")[2])[0] == "python"


@pytest.mark.skipif(os.name != "posix", reason="the command is one of a POSIX shell")
@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("localhost", ["--allow-host", "localhost"]),
        ("a.example b.example", ["--allow-host", "a.example", "--allow-host", "b.example"]),
        ("*", ["--allow-host", "*"]),
    ],
)
def test_the_command_passes_the_names_on(hosts: str, expected: list[str], tmp_path: Path) -> None:
    program = tmp_path / "digitnet"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    variables = environment() | {"ALLOW_HOST": hosts, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = json.loads(step("CMD"))
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=variables, cwd=tmp_path
    )
    words = done.stdout.splitlines()
    assert words == ["serve", "--host", "0.0.0.0", "--workers", "1", *expected]
