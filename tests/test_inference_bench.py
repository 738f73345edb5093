"""The inference bench: every combination is timed in every round, in this process and a new one."""

import functools
import json

import pytest
import torch

from digitnet.errors import InputError, UsageError
from digitnet.experiments import inference_bench
from digitnet.experiments.arithmetic import multiply_adds
from digitnet.experiments.inference_bench import measure_inference, multiply_adds_of, product_gflops
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from digitnet.network.network_export import build_network
from digitnet.reading.model_file import load_model_file


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(inference_bench, "_LEAST_SECONDS", 0.001)
    small = functools.partial(product_gflops, size=64, repeats=1)
    monkeypatch.setattr(inference_bench, "product_gflops", small)


def test_each_combination_has_a_median_over_the_rounds():
    began = []
    result = measure_inference(batches=(1, 3), threads=(1,), rounds=2, on_round=began.append)
    assert began == [1, 2]
    assert [(row["threads"], row["batch"]) for row in result["speeds"]] == [(1, 1), (1, 3)]
    for row in result["speeds"]:
        times = row["microseconds"]
        assert 0 < times["low"] <= times["median"] <= times["high"]
        assert row["share_of_peak"] > 0
    start = result["cold_start"]["seconds"]
    parts = sum(start[name]["low"] for name in ("importing", "loading", "answering"))
    assert parts < start["whole"]["high"]
    memory = result["cold_start"]["megabytes"]
    assert memory["imported"] is None or 0 < memory["imported"] < memory["answered"]
    file = load_model_file()
    assert (result["model_sha256"], result["bytes"]) == (file.sha256, len(file.content))
    assert result["multiply_adds"] == multiply_adds_of(file.content)
    assert not result["network_only"]


def test_a_network_alone_is_timed_with_images(tmp_path, run_cli):
    file = tmp_path / "network.onnx"
    torch.manual_seed(0)
    about = {"class_names": '["0", "1"]', "recipe": "mine"}
    model = CNN(ModelConfig(channels=(4,), dense=(), num_classes=2)).eval()
    file.write_bytes(build_network(model, 1.0, about)[0])
    flags = ("--batch", "1,3", "--threads", "1", "--rounds", 1, "--json")
    result = json.loads(run_cli("bench", "infer", "--model", file, *flags).stdout)
    assert (result["network_only"], result["model"]) == (True, "network.onnx")
    assert result["recipe"] == "mine"
    assert [row["batch"] for row in result["speeds"]] == [1, 3]
    # A convolution of 3×3 that makes four maps of 26×26 pixels, and a dense layer of them halved.
    assert result["multiply_adds"] == 26**2 * 9 * 4 + 13**2 * 4 * 2
    start = result["cold_start"]["seconds"]
    assert 0 < start["answering"]["median"] < start["whole"]["median"]


def test_multiply_adds_of_a_file_are_counted_by_its_layers():
    # The shipped reader, in its plain definition: pairs of convolutions of 28, 14 and 7 pixels.
    blocks = ((28, 1, 16), (28, 16, 16), (14, 16, 32), (14, 32, 32), (7, 32, 96), (7, 96, 96))
    convolutions = sum(side**2 * into * out * 9 for side, into, out in blocks)
    dense = 96 * 9 * 128 + 128 * 11
    assert multiply_adds_of(load_model_file().content) == convolutions + dense


@pytest.mark.parametrize("seen", [{"test_shifts": 1}, {"pool_phases": True}], ids=str)
def test_what_is_done_for_each_view_of_an_image_is_counted_for_each(seen):
    config = ModelConfig(channels=(4, 4), padding=True, border=1, dense=(), **seen)
    network = CNN(config).eval()
    content, _ = build_network(network, 1.0, {"class_names": json.dumps([*"0123456789"])})
    assert multiply_adds_of(content) == multiply_adds(network)


def test_what_is_not_allowed_is_refused(tmp_path):
    for wrong in ({"batches": (0,)}, {"threads": (0,)}, {"rounds": 0}):
        with pytest.raises(UsageError, match="cannot be 0; allowed: from 1"):
            measure_inference(**wrong)
    with pytest.raises(InputError, match="There is no model file"):
        measure_inference(tmp_path / "gone.onnx")


def test_the_command_shows_a_table_and_writes_json(tmp_path, run_cli):
    flags = ("bench", "infer", "--batch", "1,2", "--threads", "1", "--rounds", 1)
    done = run_cli(*flags, "--out", tmp_path / "speed.json")
    assert done.code == 0, done.stderr
    result = json.loads((tmp_path / "speed.json").read_text())
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[1:2] == ["1"]]
    assert [row[0] for row in rows] == ["1", "2"]
    assert "cold start" in done.stdout
    assert f"{result['multiply_adds']:,} multiply-adds" in done.stdout
    assert done.stderr == "round 1 of 1\n"
    wrong = run_cli("bench", "infer", "--batch", "1,x")
    assert (wrong.code, wrong.stderr) == (
        2,
        "Error: --batch cannot be '1,x'; allowed: 1,8 and the like.\n",
    )
