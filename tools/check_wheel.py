"""Build the wheel, install it into an empty environment, and read a picture with it.

What users of a wheel rely on: the base install reads digits with neither PyTorch nor ONNX's tools,
and what needs more says how to install it. The Dockerfile leads from a wheel
to a service.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

from PIL import Image

from digitnet.data.catalogue import load_dataset

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
# What no one who reads digits should have to install.
UNWANTED = (
    *("torch", "onnx", "opencv-python-headless", "scipy", "scikit-image", "scikit-learn"),
    *("matplotlib", "ray", "fastapi", "uvicorn"),
)
# Of the environment, with pip, in which the wheel and what it needs are installed.
MOST_MEGABYTES = 220
TEST_IMAGE = 0


def main() -> None:
    """Check the wheel; an assertion or a failed command ends with an error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (wheel,) = build(folder / "wheel")
        check_content(wheel)
        python = install(wheel, folder / "environment")
        check_packages(python)
        size = check_size(folder / "environment")
        check_reading(python, folder)
        check_remedy(python, folder)
        check_dockerfile(wheel, folder)
        print(f"{wheel.name}: installs, reads a digit, and names what training needs")
        print(f"The environment takes {size:.0f} MB; at most {MOST_MEGABYTES} are allowed.")


def build(folder: Path) -> list[Path]:
    """Build the wheel into ``folder``."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)
    return list(folder.glob("*.whl"))


def check_content(wheel: Path) -> None:
    """Check that the wheel holds what the package consists of, and nothing else."""
    listed = run("git", "ls-files", "src/digitnet", cwd=ROOT).stdout.splitlines()
    wanted = {name.removeprefix("src/") for name in listed}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted, held ^ wanted


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel into a new environment and return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", wheel)
    return python


def check_packages(python: Path) -> None:
    """Check that only what reading needs was installed."""
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json").stdout)
    installed = {package["name"].lower() for package in listed}
    assert not installed.intersection(UNWANTED), installed.intersection(UNWANTED)


def check_size(environment: Path) -> float:
    """Check how large what was installed is, and return it in megabytes."""
    size = sum(path.lstat().st_size for path in environment.rglob("*")) / 1e6
    assert size <= MOST_MEGABYTES, f"{size:.0f} MB"
    return size


def check_reading(python: Path, folder: Path) -> None:
    """Read a test digit of MNIST as a file."""
    data = load_dataset("sample")
    Image.fromarray(255 - data.test_images[TEST_IMAGE]).save(folder / "digit.png")
    done = run(python, "-m", "digitnet", "predict", "digit.png", "--quiet", cwd=folder)
    assert done.stdout == f"{data.test_labels[TEST_IMAGE]}\n", done.stdout
    read = run(python, "-m", "digitnet", "read", "digit.png", "--quiet", cwd=folder)
    assert read.stdout == done.stdout, read.stdout


def check_remedy(python: Path, folder: Path) -> None:
    """Check that what the error advises is possible: pip knows the extra of what is installed."""
    train = run(python, "-m", "digitnet", "train", "--data", "sample", check=False, cwd=folder)
    assert train.returncode == 1, train.stderr
    assert "pip install 'digitnet[train]'" in train.stderr, train.stderr
    pip = (python, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index")
    done = run(*pip, "digitnet[train]")
    assert "already satisfied" in done.stdout, done.stdout


def check_dockerfile(wheel: Path, folder: Path) -> None:
    """Do the steps of the Dockerfile in a folder: from the wheel to a service that is healthy."""
    if os.name != "posix":
        return
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    steps = dict(line.split(" ", 1) for line in lines if line.strip())
    (folder / "wheels").mkdir()
    shutil.copy(wheel, folder / "wheels")
    # The last of its commands makes a user, which is nothing to do here.
    script = " && ".join(each for each in steps["RUN"].split(" && ") if "useradd" not in each)
    for place in ("/opt/digitnet", "/wheels"):
        script = script.replace(place, f"{folder}{place}")
    script = script.replace("python -m venv", f"{shlex.quote(sys.executable)} -m venv", 1)
    (folder / "opt").mkdir()
    run("sh", "-c", script)
    variables = dict(pair.split("=", 1) for pair in shlex.split(steps["ENV"]))
    variables["PATH"] = f"{folder}/opt/digitnet/bin:{os.environ['PATH']}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = json.loads(steps["CMD"])
    command[-1] = command[-1].replace("digitnet serve", f"digitnet serve --port {port}")
    health = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    health[-1] = health[-1].replace("8000", str(port))
    with subprocess.Popen(command, env=variables, cwd=folder) as service:
        try:
            deadline = time.monotonic() + 60
            while subprocess.run(
                health, env=variables, capture_output=True, check=False
            ).returncode:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            with urllib.request.urlopen(f"http://localhost:{port}/") as answer:
                assert b"<title>digitnet" in answer.read()
            # What the page explains with needs nothing else either.
            with urllib.request.urlopen(f"http://localhost:{port}/model/layers.json") as answer:
                assert json.load(answer)["layers"]
            service.terminate()
            assert service.wait(30) == 0
        finally:
            service.kill()


def run(
    *command: str | Path, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed; show its errors if it fails."""
    words = list(map(str, command))
    # Nothing of this checkout may stand in for what the wheel lacks.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    if check and done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    main()
