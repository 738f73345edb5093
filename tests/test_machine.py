import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from digitnet import machine as module
from digitnet.machine import cpu_name, environment


def test_it_survives_json():
    found = environment()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_it_says_what_runs():
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["system"].startswith("Linux")
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["cpu"] == cpu_name()
    for name in ("digitnet", "numpy", "torch", "safetensors"):
        assert re.match(r"\d+\.\d+", found["packages"][name])
    assert found["git_revision"] is None or re.fullmatch(r"\S+", found["git_revision"])


def test_the_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    monkeypatch.setattr(module, "_quota", lambda: math.inf)
    assert environment()["cores"] == 2


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "300000 100000\n"}, 3),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "odd"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({}, 8),
    ],
)
def test_the_limit_of_a_container_counts(files, cores, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(module, "_CGROUP", tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert module.usable_cores() == cores


def test_the_command_hides_where_the_program_lies(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/digitnet", "train", "--epochs", "3"])
    assert environment()["command"] == ["digitnet", "train", "--epochs", "3"]


def test_a_missing_package_has_no_version(monkeypatch):
    monkeypatch.setattr(module, "_PACKAGES", ("numpy", "surely-not-installed"))
    packages = environment()["packages"]
    assert packages["numpy"]
    assert packages["surely-not-installed"] is None


def test_it_works_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["git_revision"] is None


@pytest.mark.parametrize(
    "error", [subprocess.TimeoutExpired("git", 5), PermissionError(13, "no"), OSError(12, "no")]
)
def test_it_works_with_a_git_that_does_not(error, monkeypatch):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert environment()["git_revision"] is None


def fake_git(folder, line):
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)


def test_git_outside_a_repository_is_no_revision(monkeypatch, tmp_path):
    fake_git(tmp_path, "echo 'fatal: not a git repository' >&2; exit 128")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert environment()["git_revision"] is None


def test_a_changed_tree_is_told(monkeypatch, tmp_path):
    fake_git(tmp_path, "echo 0123456789ab+")
    monkeypatch.setattr(module, "__file__", "/home/me/digits/src/digitnet/environment.py")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert environment()["git_revision"] == "0123456789ab+"


def test_an_installed_copy_asks_no_repository_around_it(monkeypatch, tmp_path):
    fake_git(tmp_path, "echo 0123456789ab")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "__file__", "/venv/lib/site-packages/digitnet/environment.py")
    assert environment()["git_revision"] is None


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        ("model name\t: Fast CPU\nflags\t\t: fpu avx2 fma avx512f\n", "Fast CPU", 3),
        ("Features\t: fp asimd sve\n", None, 2),
        ("", None, 0),
        (None, None, 0),
    ],
)
def test_any_cpuinfo_will_do(text, name, features, monkeypatch):
    def read_text(self, **_):
        if text is None:
            raise FileNotFoundError(2, "gone")
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    found = environment()
    assert found["cpu"] == name
    assert len(found["cpu_features"]) == features
