import dataclasses
import hashlib
import json
import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digitnet.errors import DigitnetError, InputError, StorageError, UsageError
from digitnet.network.config import TrainConfig
from digitnet.training import runs
from digitnet.training.runs import Epoch, Predictions, Run, create_run, open_run, write_csv

in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
CONFIG = TrainConfig().override(epochs=3, dropout=0.25, channels=(8,), rotate=5.0)


@pytest.fixture
def run(tmp_path):
    """A run folder with a config and nothing else."""
    made = create_run(tmp_path / "run", "unused")
    made.write_config(CONFIG, {"train-images": "ab" * 32}, "0123456789")
    return made


def test_names_in_a_run_folder_are_stable(run):
    run.write_environment({"python": "3"})
    run.write_history([])
    run.write_metrics({"misses": 3})
    run.write_predictions(make_predictions([]))
    assert sorted(path.name for path in run.path.iterdir()) == [
        *("config.json", "environment.json", "history.csv", "metrics.json", "predictions.csv")
    ]
    assert run.checkpoint_file == run.path / "checkpoint.safetensors"
    assert run.model_file == run.path / "model.safetensors"
    assert run.report_file == run.path / "report.html"
    assert run.figures == run.path / "figures"


def test_a_config_comes_back(run):
    assert run.config == CONFIG
    assert run.data_sha256 == {"train-images": "ab" * 32}
    values = json.loads((run.path / "config.json").read_text())
    assert values["schema_version"] == 1
    assert values["class_names"] == list("0123456789")
    assert {name: values[name] for name in CONFIG.as_dict()} == CONFIG.as_dict()


def test_environment_and_metrics_come_back(run):
    run.write_environment({"python": "3.11", "git_revision": None})
    run.write_metrics({"test_accuracy": 0.1 + 0.2})
    assert run.environment == {"python": "3.11", "git_revision": None}
    assert run.metrics == {"test_accuracy": 0.1 + 0.2}


def test_a_model_is_known_by_its_hash(run):
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        _ = run.model_sha256
    run.model_file.write_bytes(b"abc")
    assert run.model_sha256 == hashlib.sha256(b"abc").hexdigest()


def test_opening_takes_a_path_a_text_or_a_run(run):
    assert open_run(run.path) == open_run(str(run.path)) == open_run(run) == run


def test_nothing_is_read_before_it_is_asked_for(run):
    (run.path / "config.json").write_text("not json")
    opened = open_run(run.path)
    with pytest.raises(InputError, match=r"config\.json is not readable JSON"):
        _ = opened.config


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(InputError, match=f"no run folder {path}"):
            open_run(path)
    with pytest.raises(InputError, match=r"no config\.json.*`digitnet train` makes one"):
        open_run(tmp_path)
    with pytest.raises(DigitnetError, match="nnn"):
        open_run("n" * 300)


def test_each_missing_part_is_named_with_its_remedy(run):
    for part, says in {
        "environment": r"no environment\.json",
        "history": r"no history\.csv",
        "metrics": rf"no metrics\.json\. `digitnet evaluate {run.path}` makes it",
        "predictions": rf"no predictions\.csv\. `digitnet evaluate {run.path}` makes it",
    }.items():
        with pytest.raises(InputError, match=says):
            getattr(run, part)
    with pytest.raises(InputError, match=r"no config\.json"):
        _ = Run(run.path / "gone").config


# Creating.


def test_a_new_or_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "a/b/c"):
        made = create_run(tmp_path / name, "unused")
        assert made == Run(tmp_path / name)
        assert list(made.path.iterdir()) == []
    assert create_run(str(tmp_path / "text"), "unused").path == tmp_path / "text"


def test_what_a_killed_process_leaves_hidden_does_not_count(tmp_path):
    for name in (".lock", ".config.json.0123456789ab.tmp"):
        (tmp_path / name).write_text("")
    assert create_run(tmp_path, "unused").path == tmp_path


def test_a_run_is_never_overwritten(run):
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(UsageError, match=rf"--out {run.path} is not empty.*--resume {run.path}"):
        create_run(run.path, "unused")
    assert (run.path / "config.json").read_bytes() == before


def test_a_folder_of_something_else_cannot_be_resumed(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(UsageError, match="is not empty") as caught:
        create_run(tmp_path, "unused")
    assert "--resume" not in str(caught.value)


def test_a_file_in_the_way_is_a_storage_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(StorageError, match="Cannot make the folder"):
            create_run(path, "unused")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"Cannot make the folder runs.*in the way"):
        create_run(None, "plain-seed0")


class OneSecond(runs.datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "datetime", OneSecond)
    made = [create_run(None, "plain-seed0").path for _ in range(3)]
    names = ["plain-seed0-20260102-030405" + tail for tail in ("", "-2", "-3")]
    assert [path.name for path in made] == names
    assert all(path.is_dir() and path.parent.name == "runs" for path in made)


def test_a_name_with_a_slash_stays_under_runs_or_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/b", "../up", "/abs"):
        try:
            path = create_run(None, name).path
        except DigitnetError:
            continue
        assert path.resolve().is_relative_to(tmp_path / "runs")


# History and predictions.

FLOATS = st.floats(allow_nan=False)
EPOCHS = st.lists(
    st.builds(Epoch, st.integers(0, 10**6), FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS),
    max_size=5,
)


@in_one_folder
@given(EPOCHS)
def test_a_history_comes_back_bit_for_bit(run, history):
    run.write_history(history)
    assert run.history == history
    lines = (run.path / "history.csv").read_text().splitlines()
    assert lines[0] == (
        "epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,seconds"
    )
    assert len(lines) == 1 + len(history)


def test_a_history_of_numpy_numbers_and_of_nan_comes_back(run):
    row = Epoch(1, np.float64(0.1), np.float64(1 / 3), 1.0, float("nan"), 0.5, 1e-300)
    run.write_history([row])
    found = run.history[0]
    assert np.isnan(found.val_loss)
    assert found.train_loss == 1 / 3
    assert dataclasses.replace(found, val_loss=0) == dataclasses.replace(row, val_loss=0)
    assert [type(value) for value in dataclasses.astuple(found)] == [int, *[float] * 6]


def make_predictions(rows):
    columns = list(zip(*rows, strict=True)) or [()] * 5
    whole = [np.array(column, np.int64) for column in columns[:3]]
    return Predictions(*whole, *(np.array(column, np.float64) for column in columns[3:]))


SHARES = st.floats(0, 1)
CLASSES = st.integers(0, 9)
ROWS = st.lists(st.tuples(st.integers(0, 2**63 - 1), CLASSES, CLASSES, SHARES, SHARES), max_size=5)


@in_one_folder
@given(ROWS)
def test_predictions_come_back_bit_for_bit(run, rows):
    written = make_predictions(rows)
    run.write_predictions(written)
    found = run.predictions
    for f in dataclasses.fields(Predictions):
        before, after = getattr(written, f.name), getattr(found, f.name)
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype
        assert after.shape == (len(rows),)
    header = (run.path / "predictions.csv").read_text().splitlines()[0]
    assert header == "index,label,predicted,probability_label,probability_predicted"


def test_a_csv_file_is_written_whole_or_not_at_all(tmp_path):
    def rows():
        yield [1]
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="middle"):
        write_csv(tmp_path / "x.csv", ["a"], rows())
    assert list(tmp_path.iterdir()) == []


HEADERS = {
    "history": b"epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,seconds\n",
    "predictions": b"index,label,predicted,probability_label,probability_predicted\n",
}
ROW = {"history": b"1,0.1,2,0.5,2,0.5,3\n", "predictions": b"0,1,1,0.5,0.5\n"}


@pytest.mark.parametrize("part", HEADERS)
@pytest.mark.parametrize(
    "break_it",
    [
        lambda header, row: b"",
        lambda header, row: b"\n",
        lambda header, row: row,
        lambda header, row: header.upper() + row,
        lambda header, row: header + row + row[:7],
        lambda header, row: header + row + b"1,2\n",
        lambda header, row: header + row.replace(b"\n", b",9\n"),
        lambda header, row: header + row.replace(b"1", b"one"),
        lambda header, row: header + row.replace(b"1", b""),
        lambda header, row: header + b"0.5" + row,
        lambda header, row: header + row.replace(b"1", b"\0"),
        lambda header, row: header + row.replace(b"0.5", b"0,5"),
        lambda header, row: b"\xff\xfe" + header + row,
        lambda header, row: header + b"\xff\n",
        lambda header, row: header + b'"' + b"x" * 200_000 + row,
        lambda header, row: b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        lambda header, row: header.replace(b",", b";") + row.replace(b",", b";"),
    ],
)
def test_a_broken_table_is_an_input_error(part, break_it, run):
    file = run.path / f"{part}.csv"
    file.write_bytes(HEADERS[part] + ROW[part])
    assert getattr(run, part) is not None
    file.write_bytes(break_it(HEADERS[part], ROW[part]))
    with pytest.raises(InputError, match=rf"{part}\.csv"):
        getattr(run, part)


def test_a_number_too_large_for_its_column_is_an_input_error(run):
    file = run.path / "predictions.csv"
    file.write_bytes(HEADERS["predictions"] + b"9" * 30 + ROW["predictions"])
    with pytest.raises(InputError, match=r"predictions\.csv"):
        _ = run.predictions


@in_one_folder
@given(st.binary(max_size=60), st.booleans())
def test_any_table_is_read_or_an_input_error(run, content, with_header):
    for part, header in HEADERS.items():
        (run.path / f"{part}.csv").write_bytes(header * with_header + content)
        try:
            getattr(run, part)
        except InputError as error:
            told = str(error)
        else:
            told = part
        assert part in told


# JSON files.


@pytest.mark.parametrize("part", ["config", "environment", "metrics"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"3", b'"x"', b"\xff\xfe", b"<html>", b"[" * 100_000, b"{}}"],
    ids=lambda content: repr(content[:9]),
)
def test_broken_json_is_an_input_error(part, content, run):
    (run.path / f"{part}.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"{part}\.json"):
        getattr(run, part)


def change_config(run, **changes):
    file = run.path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": "three"}, "--epochs"),
        ({"epochs": -1}, "--epochs"),
        ({"learning_rate": None}, "--learning-rate"),
        ({"model": 3}, "table of settings"),
        ({"model": {"chanels": [3]}}, "'channels'"),
        ({"augmentation": {"rotate": 1000}}, "--rotate"),
        ({"optimizer": "magic"}, "magic"),
        ({"learning_rate": 10**400}, "--learning-rate"),
    ],
)
def test_a_config_that_cannot_be_is_an_input_error(changes, says, run):
    change_config(run, **changes)
    with pytest.raises(InputError, match=rf"config\.json.*{says}"):
        _ = run.config


def test_what_else_a_config_file_holds_is_left_alone(run):
    change_config(run, remark="my best run", class_names=["a"])
    assert run.config == CONFIG


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_config_of_another_format_is_refused(version, run):
    # Its settings may mean something else.
    change_config(run, schema_version=version)
    with pytest.raises(InputError, match=r"config\.json.*format"):
        _ = run.config


@pytest.mark.parametrize("value", [3, [1], "x", None, {"file": 3}])
def test_hashes_that_are_none_are_an_input_error(value, run):
    change_config(run, data_sha256=value)
    with pytest.raises(InputError, match=r"config\.json"):
        _ = run.data_sha256


@in_one_folder
@given(
    st.sampled_from([*CONFIG.as_dict(), "data_sha256", "remark"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(string.printable, max_size=4),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=4,
    ),
)
def test_any_value_in_a_config_is_read_or_an_input_error(run, name, value):
    run.write_config(CONFIG, {}, "01")
    change_config(run, **{name: value})
    try:
        assert isinstance(run.config, TrainConfig)
        assert isinstance(run.data_sha256, dict)
    except InputError as error:
        told = str(error)
    else:
        told = "config.json"
    assert "config.json" in told
