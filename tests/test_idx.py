"""The IDX format, and unpacking in bounded memory."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitnet.data.idx import encode_idx, gunzip, parse_idx, uncompress
from digitnet.errors import IntegrityError

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
    with pytest.raises(IntegrityError, match="start with '89 50 4e 47', not"):
        parse_idx(b"\x89PNG\r\n\x1a\n", "digits")
    with pytest.raises(IntegrityError, match="digits announces 2 × 2 values, but 3 bytes"):
        parse_idx(encode_idx(np.zeros((2, 2), np.uint8))[:-1], "digits")


def ints(*shape):
    values = np.arange(np.prod(shape)).reshape(shape) * 70_000 - 5
    header = bytes([0, 0, 12, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return header + values.astype(">i4").tobytes(), values


def test_integers_are_read_with_their_signs():
    content, values = ints(4, 3)
    read = parse_idx(content, kind="i4")
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.int32
    assert read.flags.writeable


def test_bytes_are_no_integers():
    content, _ = ints(4)
    with pytest.raises(IntegrityError, match=r"not an IDX file: .* start with '00 00 0c 01'"):
        parse_idx(content, "some")
    with pytest.raises(IntegrityError, match=r"not an IDX file: .* start with '00 00 08 01'"):
        parse_idx(encode_idx(np.zeros(4, np.uint8)), "some", "i4")
    with pytest.raises(IntegrityError, match="announces 4 values"):
        parse_idx(content[:-1], "some", "i4")


@given(st.binary(max_size=60).map(lambda tail: b"\0\0\x0c\1" + tail) | st.binary(max_size=60))
def test_any_bytes_are_integers_or_an_error(content):
    with contextlib.suppress(IntegrityError):
        assert parse_idx(content, kind="i4").nbytes == len(content) - 4 - 4 * content[3]


class TestUnpacking:
    def test_members_follow_one_another(self):
        assert gunzip(gzip.compress(b"one") + gzip.compress(b"two"), 6, "it") == b"onetwo"

    def test_a_bomb_is_cut_off(self):
        with pytest.raises(IntegrityError, match="more than the expected 1,000 bytes"):
            gunzip(gzip.compress(bytes(5_000_000)), 1_000, "it")
        one = gzip.compress(bytes(600))
        with pytest.raises(IntegrityError, match="more than the expected 1,000 bytes"):
            gunzip(one * 1_000, 1_000, "it")

    @given(data=st.data())
    def test_any_bytes_are_the_content_or_an_error(self, data):
        packed = bytearray(gzip.compress(b"some content"))
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place] = data.draw(st.integers(0, 255))
        cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
        try:
            content = gunzip(cut, 100, "it")
        except IntegrityError:
            return
        assert content == b"some content"


def compress(content, longest=16):
    """Return ``content`` as Unix's compress packs it, except that the table is never cleared."""
    table, width, packed, group = {bytes([i]): i for i in range(256)}, 9, b"", []
    free, word = 257, b""

    def flush(size):
        bits = sum(code << (i * width) for i, code in enumerate(group))
        group.clear()
        return bits.to_bytes(width, "little")[:size]

    for letter in [content[i : i + 1] for i in range(len(content))] + [None]:
        if letter and word + letter in table:
            word += letter
            continue
        if word:
            group.append(table[word])
        if len(group) == 8:
            packed += flush(width)
        if free >= 1 << width and width < longest:
            packed += flush(width) if group else b""
            width += 1
        if letter and word and free < 1 << longest:
            table[word + letter] = free
            free += 1
        word = letter
    last = -(-len(group) * width // 8)
    return bytes([0x1F, 0x9D, 0x80 | longest]) + packed + flush(last)


@given(st.lists(st.sampled_from([b"0", b"1", b"01\n", b"0000"]), max_size=4000).map(b"".join))
def test_what_is_compressed_is_uncompressed(content):
    for longest in (10, 12, 16):
        assert uncompress(compress(content, longest), len(content), "it") == content


def test_a_cleared_table_is_forgotten():
    # 9-bit codes: a, 257 (aa), clear, then seven codes of nothing, and a new group: b, 257 (bb).
    codes = [97, 257, 256, 0, 0, 0, 0, 0, 98, 257]
    bits = sum(code << (9 * i) for i, code in enumerate(codes))
    packed = b"\x1f\x9d\x90" + bits.to_bytes(12, "little")
    assert uncompress(packed, 9, "it") == b"aaabbb"


@given(st.binary(max_size=60).map(lambda tail: b"\x1f\x9d\x90" + tail) | st.binary(max_size=9))
def test_any_bytes_are_uncompressed_or_an_error(content):
    with contextlib.suppress(IntegrityError):
        assert len(uncompress(content, 1_000, "it")) <= 1_000


def test_a_bomb_is_not_uncompressed():
    with pytest.raises(IntegrityError, match="more than the expected 99 bytes"):
        uncompress(compress(bytes(10_000)), 99, "it")
