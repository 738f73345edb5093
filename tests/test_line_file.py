"""The line reader that comes with digitnet: it is what was recorded, and reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from digitnet.data.pen_signs import load_hands
from digitnet.errors import InputError, IntegrityError
from digitnet.reading import line_file
from digitnet.reading.line_file import load_line_file
from digitnet.synthesis.hands import draw


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of what comes with digitnet, which is loaded instead."""
    folder = tmp_path / "assets"
    folder.mkdir()
    real = Path(str(resources.files("digitnet"))) / "assets"
    for name in ("lines.onnx", "lines.json"):
        shutil.copyfile(real / name, folder / name)
    monkeypatch.setattr(line_file.resources, "files", lambda _: tmp_path)
    load_line_file.cache_clear()
    yield folder
    load_line_file.cache_clear()


def test_columns_are_probabilities_two_for_each_four_pixels() -> None:
    for width in (16, 33, 250):
        strip = np.random.default_rng(width).integers(0, 256, (32, width), np.uint8)
        columns = load_line_file().columns(strip)
        assert columns.shape == (2 * -(-width // 4), 12)
        assert np.exp(columns).sum(1) == pytest.approx(np.ones(len(columns)), abs=1e-5)


def test_it_reads_a_digit_of_either_polarity() -> None:
    hands = load_hands()
    row = int(np.flatnonzero(hands.label == "7")[0])
    ink = draw(hands.strokes(row), 24, 2.5)
    strip = np.full((32, 48), 220, np.float32)
    strip[2 : 2 + ink.shape[0], 12 : 12 + ink.shape[1]] -= 180 * ink[:30, :30]
    for picture in (strip, 255 - strip):
        columns = load_line_file().columns(picture.astype(np.uint8))
        assert set(columns.argmax(1).tolist()) == {7, 11}


def test_both_model_files_together_are_small_enough() -> None:
    assets = resources.files("digitnet") / "assets"
    sizes = [len((assets / name).read_bytes()) for name in ("lines.onnx", "digitnet.onnx")]
    assert sizes[0] < 1_000_000
    assert sum(sizes) < 2_200_000


def test_no_layer_of_it_is_idle() -> None:
    import onnx

    content = (Path(str(resources.files("digitnet"))) / "assets" / "lines.onnx").read_bytes()
    held = onnx.load_model_from_string(content).graph.initializer
    weights = [onnx.numpy_helper.to_array(each) for each in held if len(each.dims) > 2]
    assert len(weights) > 10
    for each in weights:
        filters = np.linalg.norm(each.reshape(len(each), -1).astype(np.float32), axis=1)
        assert np.sqrt(np.square(filters).mean()) > 0.1


def test_it_is_loaded_once() -> None:
    assert load_line_file() is load_line_file()


def test_a_damaged_file_is_refused(assets: Path) -> None:
    content = bytearray((assets / "lines.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (assets / "lines.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match="is damaged"):
        load_line_file()


def test_a_record_of_another_file_is_refused(assets: Path) -> None:
    (assets / "lines.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(IntegrityError, match="Reinstall"):
        load_line_file()


def test_a_missing_file_is_told(assets: Path) -> None:
    (assets / "lines.onnx").unlink()
    with pytest.raises(InputError, match=r"lacks .*lines\.onnx"):
        load_line_file()
