import pickle
import re
import string
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import digitnet
from digitnet import errors
from digitnet.errors import (
    DigitnetError,
    MissingExtraError,
    StoppedError,
    UsageError,
    importing_extras,
    unknown_name,
)

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, DigitnetError)
}
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)


def make(cls, message="It is broken."):
    return cls(message, 2) if cls is StoppedError else cls(message)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = dict(re.findall(r"^    [├└─ ]*(\w+) +(\d+)  ", errors.__doc__, re.MULTILINE))
    actual = {name: str(make(cls).exit_code) for name, cls in CLASSES.items()}
    assert drawn == actual


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_caught_by_the_base_and_says_its_message(name):
    error = make(CLASSES[name])
    assert isinstance(error, DigitnetError)
    assert str(error) == "It is broken."
    assert 1 <= error.exit_code <= 143


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_passes_between_processes(name):
    # A process pool pickles the errors of its workers; one that cannot be unpickled hangs it.
    error = make(CLASSES[name])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.exit_code == error.exit_code


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_an_interruption_ends_like_its_signal(number, code):
    assert StoppedError("stopped", number).exit_code == code


@given(NAMES, st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_an_unknown_name_is_answered_with_all_that_are_allowed(name, allowed):
    error = unknown_name("thing", name, iter(allowed))
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"Unknown thing '{name}'.")
    assert str(error).endswith(f"Allowed: {', '.join(allowed)}.")


@given(st.sampled_from(["learning_rate", "reference", "batch_size", "cosine"]), st.data())
def test_one_wrong_letter_is_understood(name, data):
    at = data.draw(st.integers(0, len(name) - 1))
    typo = name[:at] + data.draw(st.sampled_from("abcxyz")) + name[at + 1 :]
    assume(typo != name)
    for wrong in (typo, typo.upper()):
        error = unknown_name("name", wrong, ["learning_rate", "reference", "batch_size", "cosine"])
        assert f"Did you mean '{name}'?" in str(error)


def test_a_name_like_no_other_gets_no_proposal():
    assert "Did you mean" not in str(unknown_name("name", "zzzz", ["reference", "plain"]))


@pytest.mark.parametrize(
    "package", ["torch", "safetensors", "sklearn", "scipy", "matplotlib", "cv2", "skimage"]
)
def test_a_package_of_the_extra_that_is_missing_is_named_with_the_remedy(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(MissingExtraError, match=rf"'{package}'.*pip install 'digitnet\[train\]'"),
        importing_extras(),
    ):
        __import__(package)


def test_a_submodule_is_told_by_its_package():
    with pytest.raises(MissingExtraError, match="'torch'"), importing_extras():
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'tomato'", name="tomato"),
        ModuleNotFoundError("nameless"),
        ImportError("libtorch.so: cannot open shared object file", name="torch"),
        ValueError("something else"),
    ],
)
def test_other_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as caught, importing_extras():
        raise error
    assert caught.value is error


def test_nothing_happens_where_nothing_is_missing():
    with importing_extras():
        import torch  # noqa: F401


def test_the_package_answers_for_a_missing_torch(monkeypatch):
    monkeypatch.delitem(vars(digitnet), "load_model", raising=False)
    monkeypatch.delitem(sys.modules, "digitnet.training.checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="'torch'"):
        _ = digitnet.load_model
