"""The user's own sets: foreign files are refused with a sentence, never trusted."""

import zipfile

import numpy as np
import pytest

from digitnet.errors import InputError, UsageError
from digitnet.experiments.own_sets import from_arrays, own_sets
from digitnet.synthesis.scenes import Camera, encode


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_even_arrays(tmp_path):
    x = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    split = np.array([0, 1, 1])
    (plan,) = own_sets([save(tmp_path / "mine.npz", x=x, y=np.array([7, 8, 9]), split=split)])
    assert (plan.group, plan.name) == ("own", "mine")
    made = plan.make()
    assert made.labels.tolist() == [7, 8, 9]
    np.testing.assert_array_equal(made.picture(1), x[1])
    assert [(name, chosen.tolist()) for name, chosen in made.parts] == [
        ("test", [False, True, True])
    ]


def packed(**changes):
    arrays = {
        "data": np.arange(10, dtype=np.uint8),
        "offset": np.array([0, 6, 10]),
        "shape": np.array([[2, 3], [4, 1]], np.int32),
        "label": np.array([0, 9]),
        "source": np.array(["b", "a"]),
    }
    return arrays | changes


def test_packed_arrays(tmp_path):
    (plan,) = own_sets([save(tmp_path / "photos.npz", **packed())])
    made = plan.make()
    np.testing.assert_array_equal(made.picture(1), [[6], [7], [8], [9]])
    assert [name for name, _ in made.parts] == ["a", "b"]


def test_arrays_without_labels_are_no_digits(tmp_path):
    x = np.zeros((2, 3, 3), np.uint8)
    (plan,) = own_sets([save(tmp_path / "things.npz", x=x, kind=np.array(["shoe", "A"]))])
    assert plan.group == "non_digits"
    made = plan.make()
    assert made.labels is None
    assert {name for name, _ in made.parts} == {"shoe", "A"}


def test_labels_in_digits_are_numbers(tmp_path):
    kinds = np.array(["page", "row"])
    numbers = packed(label=np.array(["12|34", "007"]), kind=kinds)
    (plan,) = own_sets([save(tmp_path / "rows.npz", **numbers)])
    made = plan.make()
    assert plan.group == "numbers"
    assert made.labels is None
    assert made.texts == ("12\n34", "007")
    assert [name for name, _ in made.parts] == ["page", "row", "a", "b"]


def test_digits_of_several_kinds_are_digits(tmp_path):
    arrays = packed(kind=np.array(["paper", "box"]))
    (plan,) = own_sets([save(tmp_path / "field.npz", **arrays)])
    assert plan.group == "own"
    assert [name for name, _ in plan.make().parts] == ["box", "paper", "a", "b"]


def test_labels_in_words_are_no_digits_and_what_is_like_one_is_apart(tmp_path):
    arrays = {
        "x": np.zeros((3, 4, 4), np.uint8),
        "label": np.array(["beta", "zeta", "date 3/11"]),
        "kind": np.array(["letter", "letter", "writing"]),
        "digit_like": np.array([0, 1, 0]),
    }
    (plan,) = own_sets([save(tmp_path / "others.npz", **arrays)])
    made = plan.make()
    assert plan.group == "non_digits"
    assert made.labels is made.texts is None
    assert [(name, int(chosen.sum())) for name, chosen in made.parts] == [
        *(("not digit-like", 2), ("digit-like", 1), ("letter", 1), ("writing", 1)),
    ]


GOOD = {"x": np.zeros((2, 3, 3), np.uint8), "y": np.array([1, 2])}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": GOOD["x"]}, "holds no array with a known name"),
        ({"x": GOOD["x"]}, "what they show"),
        ({"y": GOOD["y"]}, "Needed are pictures"),
        (GOOD | {"x": np.zeros((2, 3, 3))}, "float64"),
        (GOOD | {"x": np.zeros((2, 3), np.uint8)}, r"\(2, 3\)"),
        (GOOD | {"x": np.zeros((0, 3, 3), np.uint8)}, r"\(0, 3, 3\)"),
        (GOOD | {"y": np.array([1])}, r"integers \(2,\)"),
        (GOOD | {"y": np.array([1, 10])}, "1 to 10"),
        (GOOD | {"y": np.array([1, -1])}, "-1 to 1"),
        (GOOD | {"y": np.array([1.0, 2.0])}, "float64"),
        (GOOD | {"y": np.array(["1", "x"])}, "'x'; numbers"),
        (GOOD | {"y": np.array(["1|", "2"])}, "numbers are written"),
        (GOOD | {"y": np.array(["a", "b"])}, "with 'kind'"),
        (GOOD | {"y": np.array(["a", "2"]), "kind": np.array(["k", "k"])}, "'a'; numbers"),
        (GOOD | {"y": np.array([["1", "2"]])}, r"text \(2,\)"),
        (GOOD | {"y": np.array([b"1", b"2"])}, r"integers \(2,\)"),
        (GOOD | {"kind": np.array(["a"])}, "'kind'"),
        (GOOD | {"split": np.array([[0, 1]])}, "'split'"),
        (packed(offset=np.array([0, 6])), "N from 1"),
        (packed(offset=np.array([0, 5, 10])), "picture 0 has shape"),
        (packed(offset=np.array([0, 6, 11])), "of the 10 pixels"),
        (packed(offset=np.array([0, 2**63 + 6, 10], np.uint64)), "of the 10 pixels"),
        (packed(shape=np.array([[2**62, 4], [4, 1]])), "from 1 to 20,000"),
        (packed(shape=np.array([[-2, -3], [4, 1]])), "from 1 to 20,000"),
        (packed(shape=np.zeros((0, 2), int)), "N from 1"),
        (packed(data=np.zeros((2, 5), np.uint8)), r"uint8 \(2, 5\)"),
        (packed(source=np.array(["a"])), "'source'"),
    ],
)
def test_arrays_that_fit_nothing_are_refused(arrays, words, tmp_path):
    path = tmp_path / "set.npz"
    with pytest.raises(InputError, match=words) as caught:
        from_arrays({n: a for n, a in arrays.items() if n != "images"}, path)
    assert str(path) in str(caught.value)


def test_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([Trap()], object), y=np.array([1]))
    with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
        own_sets([path])


def test_a_file_that_unpacks_to_too_much_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr("digitnet.experiments.own_sets.MAX_BYTES", 1000)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((100, 28, 28), np.uint8))
    with pytest.raises(InputError, match="the limit is 1,000"):
        own_sets([path])


@pytest.mark.parametrize("promised", [b"(9999999,),}", b"(99999999999999999,),}"])
def test_a_header_that_promises_too_much_is_refused(promised, tmp_path):
    path = tmp_path / "liar.npz"
    np.savez(path, **GOOD)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("x.npy")
    true = b"(2, 3, 3), }".ljust(len(promised))
    assert true in content
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content.replace(true, promised))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        own_sets([path])


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + b"\0" * 40, b"\x80\x04."])
def test_what_is_no_npz_is_refused(content, tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not an \.npz file"):
        own_sets([path])


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(np.zeros((9, 9), np.uint8), Camera()))


def test_a_folder_of_digits(tmp_path):
    for name in ("3/b.png", "3/a.png", "0/x.png", "3/.hidden"):
        write_picture(tmp_path / "mine" / name)
    (plan,) = own_sets([tmp_path / "mine"])
    made = plan.make()
    assert plan.name == "mine"
    assert [made.picture(i).name for i in range(made.count)] == ["x.png", "a.png", "b.png"]
    assert made.labels.tolist() == [0, 3, 3]


@pytest.mark.parametrize(
    ("name", "words"),
    [("10/a.png", "'10'"), ("a.png", "'a.png'"), ("3/deep/a.png", "is not a file")],
)
def test_a_folder_with_anything_else_is_refused(name, words, tmp_path):
    write_picture(tmp_path / "mine" / "1" / "a.png")
    write_picture(tmp_path / "mine" / name)
    with pytest.raises(InputError, match=words):
        own_sets([tmp_path / "mine"])


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no pictures"):
        own_sets([tmp_path])
    with pytest.raises(InputError, match="no file or folder"):
        own_sets([tmp_path / "none.npz"])


def test_two_sets_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_picture(tmp_path / folder / "mine" / "1" / "a.png")
    with pytest.raises(UsageError, match="'mine'"):
        own_sets([tmp_path / "a" / "mine", tmp_path / "b" / "mine"])
