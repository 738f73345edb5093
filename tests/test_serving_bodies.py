"""From bodies to wishes: forms and JSON of all kinds, whole, odd and malicious."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import serving
from digitnet.errors import DigitnetError, InputError, UsageError
from digitnet.reading.strokes import from_strokes
from digitnet.serving import bodies
from digitnet.serving.bodies import Input, ink_of, parse_body, parse_query, strokes_of

FORM = "multipart/form-data; boundary=XX"


def part(head: str, content: bytes = b"x") -> bytes:
    return (
        b"--XX\r\nContent-Disposition: form-data; "
        + head.encode()
        + b"\r\n\r\n"
        + content
        + b"\r\n"
    )


def form(*parts: bytes, end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(parts) + end


FILE = part('name="f"; filename="a.png"', b"picture")


def parsed(content: bytes, kind: str = FORM, *, batch: bool = False, most: int = 3) -> Any:
    return parse_body(content, kind, {}, most, batch=batch)


def test_a_form_is_its_files_and_fields() -> None:
    wish = parsed(form(part('name="images"', b"1"), FILE))
    assert wish.inputs == [Input("picture", b"picture")]
    assert wish.images
    wish = parsed(form(FILE, FILE, FILE), batch=True)
    assert len(wish.inputs) == 3
    # Names are names: nothing is opened or written.
    wish = parsed(form(part('name="f"; filename="../../etc/passwd"', b"p")))
    assert wish.inputs == [Input("picture", b"p")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not complete"),
        (form(), "no file"),
        (form(part('name="images"', b"1")), "no file"),
        (form(FILE, end=b""), "not complete"),
        (FILE[:30], "not complete"),
        (form(FILE, FILE), "too many files; allowed: 1"),
        (form(part('name="digits"', b"9" * 20_000)), "too long"),
        (form(*[part('name="check"', b"luhn")] * 2), "twice"),
        (form(part('name="f"', b"picture")), "Unknown field 'f'"),
        (form(part("", b"picture")), "Unknown field ''"),
        (b"garbage without a boundary", "damaged"),
        (b"--XX\r\n" + b"A" * 50_000, "damaged"),
        (b"--XX\r\n" + b"A: b\r\n" * 1000 + b"\r\n" + form(), "damaged"),
        (b"--XX\r\nA\x00B: c\r\n\r\nx\r\n--XX--", "damaged"),
    ],
)
def test_a_broken_form_is_an_error(content: bytes, words: str) -> None:
    with pytest.raises((InputError, UsageError), match=words):
        parsed(content)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "X" * 300,
    ],
)
def test_a_form_names_its_boundary(kind: str) -> None:
    with pytest.raises(InputError, match="boundary"):
        parsed(form(FILE), kind)


def test_a_hundred_thousand_parts_end_at_the_first_too_many() -> None:
    content = form(*[FILE] * 100_000)
    tracemalloc.start()
    with pytest.raises(InputError, match="too many files; allowed: 3"):
        parsed(content, batch=True)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_an_error(content: bytes) -> None:
    for sent in (content, b"--XX\r\n" + content, form(FILE, content)):
        try:
            parsed(sent)
        except DigitnetError:
            continue


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["image", "strokes", "ink", "inputs", "digits", "check", "images", "x"]
                ),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_any_json_is_a_wish_or_an_error(value: Any) -> None:
    for batch in (False, True):
        try:
            wish = parsed(json.dumps(value).encode(), "application/json", batch=batch)
            for one in wish.inputs:
                if isinstance(one, Input) and one.kind == "strokes":
                    from_strokes(strokes_of(one.value))
                if isinstance(one, Input) and one.kind == "ink":
                    ink_of(one.value)
        except DigitnetError:
            continue


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deep|not valid"),
        ('{"image": NaN}', "NaN"),
        ("[]", "object"),
        ("{}", "0 of them"),
        ('{"image": "", "ink": ""}', "2 of them"),
        ('{"image": 7}', "must be a text"),
        ('{"image": "***"}', "base64"),
        ('{"image": "é"}', "base64"),
        ('{"path": "/etc/passwd"}', "Unknown field 'path'"),
        ('{"url": "http://127.0.0.1/"}', "Unknown field 'url'"),
        ("\xff", "not valid JSON"),
    ],
)
def test_broken_json_is_an_error(text: str, words: str) -> None:
    with pytest.raises((InputError, UsageError), match=words):
        parsed(text.encode("latin-1") if text == "\xff" else text.encode(), "application/json")


@pytest.mark.parametrize("value", [True, 1, "1", False, 0, "0", "true"])
def test_images_are_asked_for_as_in_the_address(value: Any) -> None:
    body = json.dumps({"image": "", "images": value}).encode()
    assert parsed(body, "application/json").images is (value in (True, "1", "true"))


def test_what_holds_for_a_batch_stands_beside_its_inputs() -> None:
    body = json.dumps({"inputs": [{"strokes": [[[1, 2]]], "digits": 1}]}).encode()
    (error,) = parse_body(body, "application/json", {}, 3, batch=True).inputs
    assert isinstance(error, InputError)
    assert str(error) == "'digits' is for all inputs; put it beside \"inputs\"."


def test_no_text_is_taken_for_a_path(tmp_path: Any) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(serving.picture())
    for text in (str(file), "-", f"file://{file}", "http://127.0.0.1:9/x.png"):
        with pytest.raises(InputError, match="base64"):
            parsed(json.dumps({"image": text}).encode(), "application/json")
    # As a body of its own it is bytes, and no picture.
    wish = parsed(str(file).encode(), "text/plain")
    with pytest.raises(InputError, match="not a picture"):
        serving.recognizer().predict(wish.inputs[0].value)


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (7, "list of strokes"),
        ([7], "list of strokes"),
        ([[7]], "list of numbers"),
        ([[["1", "2"]]], "list of numbers"),
        ([[[True, False]]], "list of numbers"),
        ([[[10**400, 1]]], "list of numbers"),
        ([[[1e999, 1]]], "list of numbers"),
        ([[[1, 2]] * 20_001], "20,001 points"),
        ([[]] * 20_001, "20,001 strokes"),
        ([[[1]]], "shape"),
        ([[[1, 2], [1, 2, 0.5]]], "not a list of points"),
        ([[[1, 2, 7]]], "pressure"),
    ],
)
def test_wrong_strokes_are_an_error(strokes: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_strokes(strokes_of(strokes))


@pytest.mark.parametrize(
    ("ink", "words"),
    [
        (7, "base64 of 784 bytes"),
        ("AAAA", "3 bytes"),
        ("?", "base64"),
        ([], "shape"),
        ([[]], "shape"),
        ([[1, 2], [3]], "one length"),
        ([[256]], "0 to 255"),
        ([[-1, 3]], "0 to 255"),
        ([[0, 1]], "two things"),
        ([[0.5, 1.5]], "0 to 1"),
        ([["a"]], "type"),
        ([[10**30]], "type"),
        ([[None]], "type"),
        ([[0.5] * 1025], "1,024"),
    ],
)
def test_wrong_ink_is_an_error(ink: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ink_of(ink)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"a=1", "Unknown parameter 'a'"),
        (b"images=1&images=0", "twice"),
        (b"&".join(b"images=%d" % n for n in range(99)), "cannot be read"),
        ("é=1".encode(), "cannot be read"),
    ],
)
def test_a_wrong_query_is_an_error(query: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_query(query, ("images",))


def test_a_parameter_is_given_once() -> None:
    content = form(part('name="images"', b"1"), FILE)
    with pytest.raises(UsageError, match="in the address and in the body"):
        parse_body(content, FORM, {"images": "1"}, 3, batch=False)


def test_every_kind_of_input_is_documented() -> None:
    from digitnet.serving.api_schemas import operation

    body = operation("predict", batch=False, most=3)["openapi_extra"]["requestBody"]["content"]
    listed = {
        name for one in body["application/json"]["schema"]["oneOf"] for name in one["required"]
    }
    assert listed == set(bodies.KINDS)
