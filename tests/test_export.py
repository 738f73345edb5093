import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from digitnet.errors import InputError, IntegrityError, UsageError
from digitnet.network import export as export_module
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN
from digitnet.network.config import SCHEMA_VERSION, ModelConfig
from digitnet.network.export import (
    OPSET,
    OUTPUTS,
    Calibration,
    Recognition,
    build,
    golden_inks,
    golden_pages,
    parity,
)
from digitnet.network.finder import Finder
from digitnet.network.recipes import recipe
from digitnet.reading.model_file import BLANK, READ, checked
from digitnet.reading.network_file import open_network
from digitnet.training import calibration as calibration_module
from digitnet.training.calibration import export_run
from digitnet.training.checkpoint import load_model

ROOT = Path(__file__).parent.parent
REFERENCE = ModelConfig()
ROBUST = ModelConfig(
    channels=(4, 8, 8), padding=True, batch_norm=True, dense=(256,), canonical=True, reject=True
)
COMPACT = ModelConfig(
    border=2,
    stem=4,
    channels=(4, 4),
    convs_per_block=2,
    padding=True,
    separable=True,
    shared_filters=True,
    mixtures=2,
    symmetric=True,
    batch_norm=True,
    norm_scale=False,
    global_pooling="mean",
    pool_phases=True,
    test_shifts=1,
    dense=(),
)
STRONG = ModelConfig(
    stem=4,
    channels=(4, 6),
    convs_per_block=3,
    padding=True,
    batch_norm=True,
    residual=True,
    squeeze_excite=2,
    global_pooling="max-mean",
    dense=(),
)
OTHERS = [ModelConfig(activation="gelu", dense=()), ModelConfig(num_classes=3)]
CONFIGS = [REFERENCE, ROBUST, COMPACT, STRONG, *OTHERS]


def network(config):
    torch.manual_seed(0)
    return CNN(config).eval()


def finder():
    torch.manual_seed(1)
    return Finder().eval()


def about(config=REFERENCE):
    return {"class_names": json.dumps([str(n) for n in range(config.num_classes)])}


def session(content):
    return ort.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def content():
    return build(network(ROBUST), finder(), Calibration(1.5, 2.0), about())[0]


@pytest.mark.parametrize("config", CONFIGS)
def test_onnxruntime_gives_torchs_answers(config):
    content, difference = build(network(config), finder(), Calibration(1.3, 0.0), about(config))
    assert difference <= 1e-4
    graph = Recognition(network(config), finder(), Calibration(1.3))
    assert parity(graph, checked("it", content)) == difference


def test_half_precision_takes_half_the_bytes_and_answers_alike(content):
    parts = network(ROBUST), finder(), Calibration(1.5, 2.0), about()
    smaller, difference = build(*parts, half=True)
    assert len(smaller) < 0.6 * len(content)
    assert difference <= 0.02
    graph = onnx.load_from_string(smaller).graph
    kinds = {each.name: each.data_type for each in graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds.values()
    # The page replaces the last layer when it is taught, so that stays whole, however large it is.
    last = next(node for node in graph.node if "features" in node.input)
    assert [kinds[name] for name in last.input[1:]] == [onnx.TensorProto.FLOAT] * 2
    whole, halved = (checked("it", each) for each in (content, smaller))
    for ink in golden_inks():
        answers = [each.of_inks(READ, ink[None, None]) for each in (whole, halved)]
        for ours, theirs in zip(*answers, strict=True):
            assert ours == pytest.approx(theirs, abs=0.05)


def test_each_class_has_a_limit_of_its_own_in_the_file():
    plain, shifted = (
        checked("it", build(network(ROBUST), finder(), Calibration(1.5, 2.0, limits), about())[0])
        for limits in ((), tuple(np.arange(10.0)))
    )
    ink = golden_inks()[0][None, None]
    probabilities, score = plain.of_inks(("probabilities", "ood_score"), ink)
    expected = score - probabilities @ np.arange(10.0)
    assert shifted.of_inks(("ood_score",), ink)[0] == pytest.approx(expected, abs=1e-4)


def test_the_file_is_whole_and_of_the_promised_operator_set(content):
    model = onnx.load_model_from_string(content)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert not any(t.external_data for t in model.graph.initializer)
    assert [i.name for i in model.graph.input] == ["page", "ink"]
    assert tuple(o.name for o in model.graph.output) == OUTPUTS


def test_the_file_describes_itself(content):
    properties = session(content).get_modelmeta().custom_metadata_map
    assert properties["format"] == "digitnet"
    assert float(properties["temperature"]) == 1.5
    assert float(properties["ood_threshold"]) == 2.0
    assert json.loads(properties["class_names"]) == list("0123456789")


def test_no_path_of_the_machine_is_in_the_file(content):
    assert b"site-packages" not in content
    assert b"/src/" not in content


def test_the_same_network_gives_the_same_file(content):
    again = build(network(ROBUST), finder(), Calibration(1.5, 2.0), about())[0]
    assert content == again


@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (3, 1, 9, 200), (2, 1, 300, 17)])
def test_ink_of_any_size_goes_in(content, shape):
    ink = np.random.default_rng(0).random(shape, np.float32)
    probabilities, scores, images, features = checked("it", content).of_inks(READ, ink)
    assert probabilities.shape == (shape[0], 10)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert scores.shape == (shape[0],)
    assert images.shape == (shape[0], 1, 28, 28)
    assert features.shape == (shape[0], 256)


def test_signs_of_a_page_come_before_the_inks(content):
    file = checked("it", content)
    page, _ = golden_pages()[0]
    ink = golden_inks()[0][None, None]
    both = dict(zip(OUTPUTS, file.run(OUTPUTS, page, ink), strict=True))
    found = dict(zip(OUTPUTS, file.of_page(OUTPUTS, page), strict=True))
    count = len(both["presence"])
    assert len(both["probabilities"]) == count + 1
    assert found["signs"].shape == (count, 1, *page.shape[2:])
    for name in READ:
        np.testing.assert_allclose(both[name][:count], found[name], atol=1e-5)
        np.testing.assert_allclose(both[name][count:], file.of_inks((name,), ink)[0], atol=1e-4)


@pytest.mark.parametrize("shape", [(32, 32), (75, 190), (256, 192)])
def test_pages_of_any_size_go_in(content, shape):
    page = np.full((1, 1, *shape), 200, np.float32)
    page[..., 5:25, 10:14] = 20
    answers = dict(zip(OUTPUTS, checked("it", content).of_page(OUTPUTS, page), strict=True))
    count = len(answers["presence"])
    assert answers["box"].shape == (count, 4)
    assert answers["strokes"].shape == (2, *shape)
    assert len(checked("it", content).of_page(("box",), BLANK)[0]) <= 64


def test_zeros_around_change_nothing(content):
    ink = next(iter(golden_inks()))[None, None]
    padded = np.pad(ink, ((0, 0), (0, 0), (3, 40), (17, 5)))
    for plain, other in zip(
        checked("it", content).of_inks(READ, ink),
        checked("it", content).of_inks(READ, padded),
        strict=True,
    ):
        assert np.allclose(plain, other, atol=1e-4)


def test_a_difference_is_refused(monkeypatch):
    monkeypatch.setattr(export_module, "parity", lambda *_: 2e-4)
    with pytest.raises(IntegrityError, match=r"differ by 2\.0e-04"):
        build(network(REFERENCE), finder(), Calibration(), about())


def test_a_difference_that_is_not_a_number_is_refused(monkeypatch):
    monkeypatch.setattr(export_module, "parity", lambda *_: float("nan"))
    with pytest.raises(IntegrityError, match="differ by nan"):
        build(network(REFERENCE), finder(), Calibration(), about())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from digitnet import train

    out = tmp_path_factory.mktemp("runs") / "run"
    return train("plain", data="sample", epochs=1, threads=1, channels=(4, 8), out=out)


def test_a_run_is_exported_with_what_it_is(run):
    exported = export_run(run)
    assert exported.path == run.path / "model.onnx"
    assert exported.bytes == exported.path.stat().st_size
    properties = session(exported.path.read_bytes()).get_modelmeta().custom_metadata_map
    assert properties["recipe"] == "plain"
    assert properties["model_sha256"] == run.model_sha256
    assert float(properties["ood_threshold"]) == exported.calibration.ood_threshold
    assert json.loads(properties["class_names"]) == [str(n) for n in range(10)]


def test_the_network_of_a_run_is_exported_alone_and_answers_as_its_predictions(run, sample):
    exported = export_run(run, network_only=True)
    assert exported.path == run.path / "network.onnx"
    network = open_network(exported.path)
    assert network.metadata["model_sha256"] == run.model_sha256
    temperature = float(network.metadata["temperature"])
    assert exported.calibration == Calibration(temperature)
    pixels = sample.test_images[:, None].astype(np.float32) / 255
    with torch.inference_mode():
        logits = load_model(run.model_file)(torch.from_numpy(pixels))
    expected = torch.softmax(logits / temperature, dim=1).numpy()
    assert network.probabilities(pixels) == pytest.approx(expected, abs=1e-4)


def test_what_has_no_network_alone_is_refused(run, tmp_path, run_cli):
    for holds, name in (("a finder", "finder"), ("a line reader", "lines")):
        other = tmp_path / name
        other.mkdir()
        config = {"schema_version": SCHEMA_VERSION, **recipe(name).as_dict()}
        (other / "config.json").write_text(json.dumps(config))
        with pytest.raises(UsageError, match=f"holds {holds}. --network-only is for"):
            export_run(other, network_only=True)
    done = run_cli("export", run.path, "--network-only", "--finder", run.path)
    assert done.code == 2
    assert "leave out --finder" in done.stderr


def test_the_example_of_the_documents_runs(run, sample, tmp_path, monkeypatch, capsys, run_cli):
    out = tmp_path / "network.onnx"
    done = run_cli("export", run.path, "--network-only", "--half", "--out", out, "--json")
    assert set(json.loads(done.stdout)) == {
        *("schema_version", "file", "bytes", "largest_difference", "temperature"),
    }
    text = (ROOT / "docs" / "recognition.md").read_text(encoding="utf-8")
    section = text.partition("## The network alone")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", sample.test_images[:200])
    exec(example, {})
    said = np.array(re.findall(r"\d", capsys.readouterr().out), int)
    assert (said == sample.test_labels[:200]).mean() > 0.7


def test_one_in_a_hundred_validation_digits_is_refused(run, sample):
    from digitnet.data.dataset import split_train_val

    exported = export_run(run)
    _, val = split_train_val(sample.train_labels, seed=run.config.split_seed)
    ink = sample.train_images[val][:, None].astype(np.float32) / 255
    (scores,) = checked("it", exported.path.read_bytes()).of_inks(("ood_score",), ink)
    rejected = (scores > exported.calibration.ood_threshold).mean()
    assert rejected == pytest.approx(0.01, abs=0.004)


def test_a_folder_that_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(InputError):
        export_run(tmp_path)


def test_a_miss_that_the_network_is_sure_of_does_not_ruin_the_temperature(sample):
    model = network(REFERENCE)
    with torch.no_grad():
        model.head[-1].weight *= 2000
    images, labels = sample.train_images[:200], sample.train_labels[:200]
    logits, _ = calibration_module.answers(model, images, Canonical())
    assert np.isfinite(logits).all()
    assert np.isfinite(calibration_module.fit_temperature(logits, labels))


def test_the_shipped_record_is_of_the_shipped_file():
    import hashlib
    from importlib import resources

    assets = resources.files("digitnet") / "assets"
    record = json.loads((assets / "digitnet.json").read_text())
    content = (assets / "digitnet.onnx").read_bytes()
    properties = session(content).get_modelmeta().custom_metadata_map
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["bytes"] == len(content) <= 2_500_000
    for name in ("temperature", "ood_threshold"):
        assert record[name] == float(properties[name])
    assert record["recipe"] == properties["recipe"]
    assert "/" not in json.dumps(record).replace("x86_64", "")
