"""The public names: those that are documented, no others, and cheap to import."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import digitnet

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "numpy", "matplotlib", "sklearn", "scipy", "onnxruntime", "cv2", "rich", "typer")


def loaded_by(statement: str) -> set[str]:
    """Return which of the heavy libraries a fresh interpreter loads for ``statement``."""
    code = f"{statement}\nimport sys; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_every_public_name_exists_and_is_documented_in_code() -> None:
    for name in digitnet.__all__:
        assert getattr(digitnet, name).__doc__, name


def test_the_documentation_lists_exactly_the_public_names() -> None:
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^### `(\w+)", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted(digitnet.__all__)


def test_dir_shows_the_public_names() -> None:
    assert set(digitnet.__all__) <= set(dir(digitnet))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="tran"):
        digitnet.tran  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_by("import digitnet") == set()


def test_loading_data_needs_no_torch() -> None:
    assert loaded_by("import digitnet; digitnet.load_dataset('sample')") == {"numpy"}


def test_importing_draws_no_random_numbers_and_sets_nothing() -> None:
    code = (
        "import os, random; before = dict(os.environ), random.getstate()\n"
        "import digitnet, digitnet.cli.app\n"
        "assert (dict(os.environ), random.getstate()) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_reading_leaves_nothing_behind_and_tells_nobody(tmp_path: Path) -> None:
    """ONNX Runtime would keep a list of what it did, to send it."""
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import os, numpy, digitnet\n"
        "digitnet.Recognizer().read(numpy.full((40, 40), 255, numpy.uint8))\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])\n"
    )
    kept = {"XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY", "DIGITNET_CACHE_DIR"}
    env = {name: value for name, value in os.environ.items() if name not in kept}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | {"HOME": str(home)},
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert list(home.rglob("*")) == []
