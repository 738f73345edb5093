"""Recipe ``lines``: batches of strips, a run that is killed and resumed, what refuses it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import digitnet
from digitnet.data.dataset import Dataset
from digitnet.errors import DigitnetError, InputError, UsageError
from digitnet.network.line_reader import BLANK
from digitnet.network.recipes import recipe
from digitnet.reading.line_file import LineFile, open_line_session
from digitnet.reading.recognizer import Recognizer
from digitnet.synthesis.page_numbers import LineMaker
from digitnet.training import line_training, loop
from digitnet.training.checkpoint import read_line_reader
from digitnet.training.line_batches import (
    TOGETHER,
    LineBatch,
    LineBatches,
    line_batch,
    lines_together,
)
from digitnet.training.line_training import are_exact, line_loss, line_maker
from digitnet.training.progress import Progress

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS: dict[str, Any] = {
    "data": "sample",
    "lines": 12,
    "epochs": 2,
    "batch_size": 4,
    "threads": 1,
}


@pytest.fixture(scope="module")
def maker(sample: Dataset) -> LineMaker:
    return line_maker(recipe("lines"), sample, training=True)


@pytest.fixture(autouse=True)
def _few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_training, "VAL_LINES", 8)
    monkeypatch.setattr(line_training, "TEST_LINES", 8)


@pytest.fixture
def batches(maker: LineMaker) -> Iterator[LineBatches]:
    stream = LineBatches(maker, 3, seed=4)
    yield stream
    stream.close()


def same(one: LineBatch, other: LineBatch) -> bool:
    return all(torch.equal(mine, vars(other)[name]) for name, mine in vars(one).items())


def test_a_batch_is_the_same_wherever_it_is_drawn(batches: LineBatches, maker: LineMaker) -> None:
    together = [lines_together(maker, 4, group, 3) for group in (0, 1)]
    for number in (0, 1, TOGETHER + 2, 1):
        expected = line_batch(together[number // TOGETHER][number % TOGETHER])
        assert same(batches.batch(torch.arange(3 * number, 3 * number + 3)), expected)


def test_a_batch_is_padded_with_nothing(maker: LineMaker) -> None:
    strips = lines_together(maker, 0, 0, 4)[0]
    batch = line_batch(strips)
    assert batch.count == 4
    for row, (strip, labels), columns in zip(
        batch.strips, strips, batch.columns.tolist(), strict=True
    ):
        assert not row[:, :, strip.shape[1] :].any()
        assert columns == 2 * -(-strip.shape[1] // 4) >= len(labels)


def test_a_text_that_is_spelt_is_exact_and_costs_nothing() -> None:
    batch = LineBatch(
        torch.zeros(2, 1, 32, 16), torch.tensor([8, 6]), torch.tensor([4, 4, 7, 1]),
        torch.tensor([3, 1]),
    )  # fmt: skip
    logits = torch.zeros(2, 8, 12)
    for row, path in enumerate(([4, 11, 4, 4, 7, 7, 11, 11], [11, 1, 1, 11, 11, 11, 5, 5])):
        for column, pick in enumerate(path):
            logits[row, column, pick] = 30.0
    assert path[0] == BLANK
    assert are_exact(logits, batch) == [True, True]
    assert line_loss(logits, batch) < 1e-3
    assert are_exact(logits.roll(1, 2), batch) == [False, False]
    assert line_loss(logits.roll(1, 2), batch) > 10


def test_killed_and_resumed_a_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 1)

    def die(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 2):
            raise RuntimeError("made up")

    run = digitnet.train("lines", out=tmp_path / "run", **SETTINGS)
    with pytest.raises(RuntimeError, match="made up"):
        digitnet.train("lines", out=tmp_path / "again", on_progress=die, **SETTINGS)
    again = digitnet.resume(tmp_path / "again")
    assert again.model_file.read_bytes() == run.model_file.read_bytes()
    rows = [
        [dataclasses.replace(row, seconds=0.0) for row in each.history] for each in (run, again)
    ]
    assert rows[0] == rows[1]


def test_a_run_is_measured_and_exported_by_the_command_line(
    tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    folder = tmp_path / "run"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    done = run_cli("train", "--recipe", "lines", "--out", folder, *flags)
    assert done.code == 0, done.stderr
    assert "lines right" in done.stdout
    run = digitnet.open_run(folder)
    reader, _ = read_line_reader(run.model_file)
    assert run.metrics["parameters"] == reader.num_parameters
    assert run.metrics["test"]["lines"] == 8
    content = (folder / "lines.onnx").read_bytes()
    assert LineFile(open_line_session(content)).session
    before = run.metrics
    assert run_cli("evaluate", folder).code == 0
    assert run.metrics == before
    with pytest.raises(InputError, match="holds a line reader"):
        digitnet.evaluate(run)
    with pytest.raises(UsageError, match="needs no finder"):
        digitnet.export_run(run, finder=run.model_file)
    assert "no report is drawn" in run_cli("report", folder).stderr
    told = json.loads(run_cli("export", folder, "--json").stdout)
    assert set(told) == {"schema_version", "file", "bytes", "largest_difference"}
    for model in (folder, folder / "lines.onnx"):
        with pytest.raises(DigitnetError, match="holds a line reader, which reads no picture"):
            Recognizer(model)


@pytest.mark.parametrize(
    "settings",
    [
        {"pages": 100},
        {"dropout": 0.5},
        {"early_stopping": 3},
        {"lines": 2},
        {"plain_fraction": 0.1},
    ],
)
def test_settings_that_it_has_no_use_for_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="allowed"):
        recipe("lines").override(**settings)
