import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitnet.errors import IntegrityError
from digitnet.idx import encode_idx, parse_idx

ARRAYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))


@given(ARRAYS)
def test_what_is_encoded_is_parsed(array):
    parsed = parse_idx(encode_idx(array))
    np.testing.assert_array_equal(parsed, array)
    assert parsed.dtype == np.uint8
    assert parsed.shape == array.shape
    assert parsed.flags.c_contiguous
    assert parsed.flags.writeable


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\0\0\x08" + tail))
def test_garbage_is_an_array_or_an_integrity_error(content):
    try:
        parsed = parse_idx(content)
    except IntegrityError:
        return
    assert encode_idx(parsed) == content


@given(ARRAYS, st.data())
def test_any_other_length_is_refused(array, data):
    content = encode_idx(array)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(IntegrityError, match="my file"):
        parse_idx(content[:cut], "my file")
    with pytest.raises(IntegrityError, match="my file"):
        parse_idx(content + b"!", "my file")


@pytest.mark.parametrize(
    "header",
    [b"\0\0\x08\x03" + b"\xff" * 12, b"\0\0\x08\x01\x7f\xff\xff\xff", b"\0\0\x08\xff" + bytes(100)],
)
def test_a_header_that_promises_much_costs_no_memory(header):
    with pytest.raises(IntegrityError):
        parse_idx(header)


def test_a_message_tells_what_was_found():
    with pytest.raises(IntegrityError, match="starts with '89 50 4e 47', not"):
        parse_idx(b"\x89PNG\r\n\x1a\n", "digits")
    with pytest.raises(IntegrityError, match="digits says that it holds 2 × 2 values, but 3 bytes"):
        parse_idx(encode_idx(np.zeros((2, 2), np.uint8))[:-1], "digits")
