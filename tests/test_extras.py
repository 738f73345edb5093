import sys

import pytest

import digitnet
from digitnet import extras
from digitnet.errors import MissingExtraError


@pytest.mark.parametrize("package", ["torch", "safetensors", "sklearn", "scipy", "matplotlib"])
def test_a_package_of_the_extra_that_is_missing_is_named_with_the_remedy(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(MissingExtraError, match=rf"'{package}'.*pip install '\.\[train\]'"),
        extras.needed(),
    ):
        __import__(package)


def test_a_submodule_is_told_by_its_package():
    with pytest.raises(MissingExtraError, match="'torch'"), extras.needed():
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
    with pytest.raises(type(error)) as caught, extras.needed():
        raise error
    assert caught.value is error


def test_nothing_happens_where_nothing_is_missing():
    with extras.needed():
        import torch  # noqa: F401


def test_the_package_answers_for_a_missing_torch(monkeypatch):
    monkeypatch.delitem(vars(digitnet), "load_model", raising=False)
    monkeypatch.delitem(sys.modules, "digitnet.training.checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="'torch'"):
        _ = digitnet.load_model
