"""The build of the page: what it consists of, and what it says when it cannot be made."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from browser_site import FIRST_PAGE, ROOT, built

import build_page  # isort: skip

from digitnet.errors import DataUnavailableError, InputError, IntegrityError
from digitnet.reading.model_file import load_model_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("site"))


def test_the_page_is_told_to_use_the_engine_in_the_browser(page: Path) -> None:
    html = (page / "index.html").read_text(encoding="utf-8")
    assert '<meta name="engine" content="browser">' in html
    assert '<link rel="manifest" href="manifest.webmanifest">' in html
    manifest = json.loads((page / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert manifest["start_url"] == manifest["scope"] == "."


def test_the_model_is_the_file_of_digitnet_with_what_it_says(page: Path) -> None:
    record = json.loads((page / "model" / "digitnet.json").read_text(encoding="utf-8"))
    shipped = load_model_file()
    assert (page / "model" / "digitnet.onnx").read_bytes() == shipped.content
    assert record["sha256"] == shipped.sha256
    assert record["ood_threshold"] == shipped.ood_threshold
    layers = page / "model" / "layers.onnx"
    content = layers.read_bytes() if layers.is_file() else b""
    digest = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert record["layers"] == (digest if content else None)


def test_the_line_reader_is_the_one_that_python_reads_with(page: Path) -> None:
    record = json.loads((page / "model" / "digitnet.json").read_text(encoding="utf-8"))
    assets = ROOT / "src" / "digitnet" / "assets"
    assert (page / "model" / "lines.onnx").read_bytes() == (assets / "lines.onnx").read_bytes()
    shipped = json.loads((assets / "lines.json").read_text(encoding="utf-8"))
    assert record["lines"] == {"sha256": shipped["sha256"], "bytes": shipped["bytes"]}


def test_the_service_worker_keeps_every_file_by_its_hash(page: Path) -> None:
    text = (page / "service-worker.js").read_text(encoding="utf-8")
    files = json.loads(re.search(r"const FILES = (\{.*?\});", text, re.DOTALL)[1])
    there = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    licences = {"runtime/LICENSE", "runtime/ThirdPartyNotices.txt"}
    assert set(files) == there - licences - {"service-worker.js"}
    for name, integrity in files.items():
        digest = base64.b64encode(hashlib.sha512((page / name).read_bytes()).digest()).decode()
        assert integrity == f"sha512-{digest}"


def test_no_file_of_ours_names_another_host(page: Path) -> None:
    ours = [*page.glob("*.html"), *page.glob("*.js"), *page.glob("[rp]*/*.js")]
    assert len(ours) > 20
    for path in ours:
        assert re.findall(r"\w+://[\w.-]+", path.read_text(encoding="utf-8")) == [], path.name


def test_the_same_files_make_the_same_build(page: Path, tmp_path: Path) -> None:
    again = tmp_path / "page"
    build_page.build(again, FIRST_PAGE)
    text = (page / "service-worker.js").read_text(encoding="utf-8")
    assert (again / "service-worker.js").read_text(encoding="utf-8") == text


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="something else than a built page"):
        build_page.build(tmp_path, FIRST_PAGE)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_first_page_without_its_engine_is_refused(page: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<html><head></head></html>")
    with pytest.raises(InputError, match='meta name="engine"'):
        build_page.build(tmp_path / "out", index)
    assert not (tmp_path / "out").exists()


def test_without_npm_the_tool_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataUnavailableError, match=r"npm is not installed\. Install Node\.js"):
        build_page.fetched_archive(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the npm of this test is a shell script")
@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", DataUnavailableError, "ENOTFOUND"),
        ("echo other > onnxruntime-web-1.30.0.tgz", IntegrityError, "is not the pinned one"),
        ("true", IntegrityError, "is not the pinned one"),
    ],
)
def test_what_npm_does_wrong_is_said(
    script: str, error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(error, match=words):
        build_page.fetched_archive(tmp_path / "kept")
    assert not [*(tmp_path / "kept").glob("*.tgz")]


def test_the_tool_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("here first")
    command = [sys.executable, str(ROOT / "tools" / "build_page.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "name another folder" in done.stderr
    assert "Traceback" not in done.stderr
