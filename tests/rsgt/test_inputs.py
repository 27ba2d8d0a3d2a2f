"""What users write: frame selections, and texts in whatever encoding their shell left them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsgt.inputs import InputError, parse_frames, read_text


def test_frame_selections():
    assert parse_frames("1-3, 9,7 - 8") == [1, 2, 3, 9, 7, 8]
    assert parse_frames("007") == [7]
    assert len(parse_frames("1-1000000")) == 1_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1-99999999999", "at most 1,000,000 frames"),
        ("1-1000001", "at most 1,000,000 frames"),
        ("1-600000,700000-1400000", "at most 1,000,000 frames"),
        ("9" * 5000, "at most 1,000,000 frames"),
        ("²", "expected a number"),
        ("٣", "expected a number"),
        ("1-", "expected a number"),
        ("-3", "expected a number"),
        ("1-2-3", "expected a number"),
        ("", "expected a number"),
        ("1,,2", "expected a number"),
        ("1.5", "expected a number"),
        ("1\n2", "expected a number"),
        ("5-3", "runs backwards"),
        ("1-5,3", "names a frame twice"),
    ],
)
def test_other_selections_are_refused(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_frames(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.text(st.sampled_from("0123456789-, ²٣x.\n"), max_size=30))
@settings(max_examples=300)
def test_every_selection_is_read_or_refused(text):
    message = ""
    try:
        assert parse_frames(text)
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_read_in_the_encoding_that_a_shell_left(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_text('{"é": [1]}', encoding=encoding)
    assert read_text(path) == '{"é": [1]}'


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="no text in utf-8 .byte 3 is 0xe9.; save it as UTF-8"):
        read_text(path)
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(InputError, match="no text in utf-16"):
        read_text(path)
    with pytest.raises(OSError, match="directory"):
        read_text(tmp_path)
