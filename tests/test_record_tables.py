"""The tables of docs/records.md: a row for each result that is there, and no other."""

import json

import pytest

import record_tables
from digitnet.errors import InputError
from digitnet.experiments.bench_results import spread, target_reached

MACHINE = {
    "cpu": "Some CPU",
    "python": "3.12.1",
    "packages": {"torch": "2.13.0"},
    "command": ["__main__.py", "bench", "train", "--recipe", "fast one"],
}


def result(recipe, misses):
    """A result with so many misses of a thousand images for each seed."""
    runs = [
        {
            "seed": seed,
            "misses": number,
            "test_accuracy": 1 - number / 1000,
            "seconds": 2.0 + seed,
            "resumed": False,
            "phases": {"loading": 1.0, "training": 2.0 + seed},
            "misread": " ".join(f"{index}:1" for index in range(number)),
        }
        for seed, number in enumerate(misses)
    ]
    accuracies = [run["test_accuracy"] for run in runs]
    return {
        "schema_version": 1,
        "kind": "train",
        "recipe": recipe,
        "settings": {"data": "mnist", "early_stopping": 0},
        "gpu": None,
        "threads": 2,
        "data_sha256": {"test": "abc"},
        "test_images": 1000,
        "parameters": 1234,
        "arithmetic": {"pflop": 0.5},
        "runs": runs,
        "summary": {
            "test_accuracy": spread(accuracies),
            "seconds": spread([run["seconds"] for run in runs]),
        },
        "target": target_reached(accuracies, 0.99),
        "environment": MACHINE,
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    anchors = (record_tables.FOLDER / "anchors.json").read_text(encoding="utf-8")
    (tmp_path / "anchors.json").write_text(anchors, encoding="utf-8")
    monkeypatch.setattr(record_tables, "FOLDER", tmp_path)
    return tmp_path


def put(folder, name, values):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(values), encoding="utf-8")


def test_without_results_there_are_only_the_published_figures(folder):
    rows = record_tables.records().splitlines()[2:]
    anchors = json.loads((folder / "anchors.json").read_text(encoding="utf-8"))["anchors"]
    assert len(rows) == len(anchors)
    assert {anchor["goal"] for anchor in anchors} == set(record_tables.GOALS)
    assert all(anchor["chosen"] for anchor in anchors)
    # Every published figure is one: a mean, an end or a claim.
    assert all(any(a[name] for name in ("mean", "high", "claim")) for a in anchors)
    for empty in ("paired", "inference", "peers", "ablation"):
        assert record_tables.blocks()[f"records-{empty}"]() == ""
    assert record_tables.result_of("fast") is None


def test_seconds_are_those_of_trainings_that_were_not_stopped(folder):
    some = result("small", [9, 11, 12])
    some["runs"][1] |= {"resumed": True, "seconds": 1000.0}
    put(folder, "smallest/small.json", some)
    assert "| 3.00 ± 1.41; in all 4.0; 2 of 3, the others were stopped" in record_tables.records()
    for run in some["runs"]:
        run["resumed"] = True
    put(folder, "smallest/small.json", some)
    assert "1,000" not in record_tables.records()


def test_a_result_is_a_row_with_its_command_and_machine(folder):
    put(folder, "fastest/fast.json", result("fast", [9, 11]))
    (row,) = [row for row in record_tables.records().splitlines() if "`fast`" in row]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "seconds to 99 %",
        "**`fast`**",
        "**99.000 ± 0.141**",
        "98.90 – 99.10",
        "2",
        "1,234",
        "0.5",
        "–",
        "2.50 ± 0.71; in all 3.5",
        "2 threads of an Some CPU; torch 2.13.0, Python 3.12.1",
        "last epoch, nothing on test",
        "`digitnet bench train --recipe 'fast one'`",
    ]


def test_ensembles_are_rows_of_what_their_networks_take(folder):
    measured = [{"accuracy": a, "undisputed": {"accuracy": a + 0.001}} for a in (0.997, 0.998)]
    put(folder, "ensembles/best-5.json", {"ensembles": measured})
    with pytest.raises(InputError, match="needs the record of best"):
        record_tables.records()
    put(folder, "accuracy/best.json", result("best", [4, 4, 4]))
    (row,) = [row for row in record_tables.records().splitlines() if "5 networks of `best`" in row]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:9] == [
        *("**99.750 ± 0.071**", "99.70 – 99.80", "2", "6,170", "2.5", "99.850", "15"),
    ]


def test_records_are_compared_with_the_reference(folder):
    put(folder, "fastest/fast.json", result("fast", [9, 11]) | {"gpu": "Some GPU"})
    assert "GPU, Some GPU; torch 2.13.0" in record_tables.records()
    assert record_tables.paired() == ""
    put(folder, "accuracy/reference.json", result("reference", [5, 5]))
    row = record_tables.paired().splitlines()[-1]
    assert row.startswith("| `fast` | -0.500 |")
    # Four and six images that only the reference reads.
    assert row.endswith("| 0.12, 0.031 |")


def test_peers_and_speeds_have_tables_when_they_were_measured(folder):
    side = {
        "parameters": 10,
        "epochs": 2,
        "accuracy": spread([0.985, 0.991]),
        "seconds": {"median": 4.0, "min": 3.0, "max": 5.0},
        "whole": {"median": 6.0},
        "seconds_to_target": [None, 3.5],
        "runs": [{"versions": {"keras": "3.15", "tensorflow": "2.21"}}],
    }
    values = {
        "recipe": "fast",
        "target": 0.99,
        "rounds": 2,
        "threads": 2,
        "sides": {"one-epoch": side, "keras-example": side},
        "one_epoch_over_digitnet": {"median": 6.1, "min": 5.5, "max": 6.5},
        "environment": MACHINE,
    }
    put(folder, "peers.json", values)
    assert "**6.1 times**" in record_tables.peers()
    assert "torch 2.13.0, keras 3.15 and tensorflow 2.21" in record_tables.peers()
    assert "3.5 (1 of 2 never)" in record_tables.peers()
    speed = {
        "batch": 8,
        "threads": 1,
        "microseconds": {"median": 800.0},
        "share_of_peak": 0.25,
    }
    values = {
        "recipe": "best",
        "model": "best",
        "speeds": [speed],
        "cold_start": {
            "seconds": {"whole": {"median": 0.4}},
            "megabytes": {"answered": None},
        },
        "environment": MACHINE,
    }
    put(folder, "inference/best.json", values)
    speed = speed | {"microseconds": {"median": 80.0}}
    put(folder, "inference/best-network.json", values | {"network_only": True, "speeds": [speed]})
    whole, alone = record_tables.inference().splitlines()[4:6]
    assert whole == "| `best` | 8 | 1 | 100.0 | 10,000 | 25 % | 0.40 | – | Some CPU |"
    assert alone.startswith("| `best`, the network alone | 8 | 1 | 10.0 | 100,000 |")


def test_a_variant_of_an_ablation_is_a_row(folder):
    variant = {
        "name": "ReLU",
        "parameters": 1234,
        "val_accuracy": {"mean": 0.98765, "sd": 0.0005},
        "relative_seconds": {"median": 0.951},
        "relative_cpu_seconds": {"median": 0.947},
    }
    values = {"seeds": 8, "threads": 1, "val_fraction": 0.1, "environment": MACHINE}
    put(folder, "fast_ablation.json", values | {"variants": [variant]})
    table = record_tables.ablation().splitlines()
    assert table[2] == "| ReLU | 1,234 | 98.765 ± 0.050 | 0.95 | 0.95 |"
    assert "8 seeds, on 10 % of the training images" in table[-1]
    assert "on 1 thread of an Some CPU" in table[-1]
