"""The network that reads lines: its shapes, what it does not depend on, and its file."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from digitnet.errors import IntegrityError
from digitnet.network import line_export
from digitnet.network.line_export import build_lines, golden_strips
from digitnet.network.line_reader import LineReader, columns_of
from digitnet.reading.line_file import LineFile, open_line_session


@pytest.fixture(scope="module")
def reader() -> LineReader:
    torch.manual_seed(0)
    return LineReader().eval()


def test_a_strip_of_any_width_has_its_columns(reader: LineReader) -> None:
    for width in (16, 17, 30, 31, 32, 200):
        with torch.inference_mode():
            logits = reader(255 * torch.rand(2, 1, 32, width))
        assert logits.shape == (2, columns_of(width), 12)


def test_polarity_aside_light_changes_nothing(reader: LineReader) -> None:
    strip = 100 + 80 * torch.rand(1, 1, 32, 64)
    with torch.inference_mode():
        assert torch.allclose(reader(strip), reader(0.5 * strip + 30), atol=1e-4)


def test_nothing_but_one_grey_is_not_divided_by(reader: LineReader) -> None:
    with torch.inference_mode():
        assert torch.isfinite(reader(torch.full((1, 1, 32, 40), 128.0))).all()


def test_it_has_as_many_parameters_as_is_told(reader: LineReader) -> None:
    assert reader.num_parameters == sum(p.numel() for p in reader.parameters()) == 409_032


def test_the_file_gives_torchs_answers_and_takes_two_bytes_a_weight(reader: LineReader) -> None:
    content, difference = build_lines(reader, {"recipe": "mine"})
    assert difference < 5e-3
    assert len(content) < 2.1 * reader.num_parameters
    file = LineFile(open_line_session(content))
    strip = golden_strips()[0]
    with torch.inference_mode():
        ours = torch.log_softmax(reader(torch.from_numpy(strip).float()[None, None])[0], -1)
    assert np.abs(np.exp(ours.numpy()) - np.exp(file.columns(strip))).max() < 5e-3
    import onnx

    model = onnx.load(io.BytesIO(content))
    # No branches, so that every runtime can plan it.
    assert "If" not in {node.op_type for node in model.graph.node}
    held = {p.key: p.value for p in model.metadata_props}
    assert held["recipe"] == "mine"


def test_the_same_network_gives_the_same_bytes(reader: LineReader) -> None:
    assert build_lines(reader, {})[0] == build_lines(reader, {})[0]


def test_a_file_that_answers_otherwise_is_not_written(
    reader: LineReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_export, "HALF_TOLERANCE", -1.0)
    with pytest.raises(IntegrityError, match="Nothing was written"):
        build_lines(reader, {})
