"""JSON of unknown origin: what is plain comes through, what could harm does not, and each refusal has its reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ConfigError
from kyvo.serving.body import parse_json
from kyvo.serving.errors import RequestError
from kyvo.serving.limits import Limits

LIMITS = Limits(depth=6, values=1000)
leaves = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(-1e200, 1e200) | st.text()


def nested(children):
    return st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)


@given(st.recursive(leaves, nested, max_leaves=8))
def test_plain_json_comes_through_or_is_refused_as_too_deep(data):
    try:
        assert parse_json(json.dumps(data).encode(), Limits(depth=12)) == data
    except RequestError as refusal:
        assert "nested deeper than 12" in refusal.detail


@given(st.binary(max_size=200))
def test_bytes_are_json_or_refused_with_a_reason(body):
    try:
        parse_json(body, LIMITS)
    except RequestError as refusal:
        assert refusal.status_code in (400, 413) and len(refusal.detail) > 10


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"[" * 6 + b"1" + b"]" * 6, 400, "nested deeper than 6"),
        (b"[" * 900 + b"]" * 900, 400, "nested deeper than 6"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 400, "nested deeper than 6"),
        (b"[" + b"[]," * 600 + b"[]]", 413, "more than 1,000 JSON values"),
        (b'{"x": NaN}', 400, "NaN is not a number that JSON has"),
        (b'{"x": [-Infinity]}', 400, "-Infinity is not a number"),
        (b'{"x": 1e999}', 400, "beyond what a double holds"),
        (b'{"x": 1' + b"0" * 400 + b"}", 400, "beyond what a double holds"),
        (b'{"x": 1' + b"0" * 5000 + b"}", 400, "not JSON"),
        (b'{"x": "\\ud800"}', 400, "half a surrogate pair"),
        (b'{"\\udfff": 1}', 400, "half a surrogate pair"),
        (b'{"x": "\xff"}', 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"x": {"a": 1, "a": 2}}', 400, "the key 'a' stands twice"),
    ],
)
def test_what_could_harm_is_refused(body, status, reason):
    with pytest.raises(RequestError) as caught:
        parse_json(body, LIMITS)
    assert caught.value.status_code == status and reason in caught.value.detail


def test_a_mark_of_utf_8_is_no_part_of_json():
    assert parse_json(b"\xef\xbb\xbf[1]", LIMITS) == [1]


def test_nesting_up_to_the_limit_is_taken():
    assert parse_json(b"[[[[[1]]]]]", LIMITS) == [[[[[1]]]]]


def test_json_nested_beyond_any_recursion_is_refused():
    body = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(RequestError, match="nested deeper than 6"):
        parse_json(body, Limits(depth=6))


def test_a_limit_is_above_zero():
    with pytest.raises(ConfigError, match=r"the limit seconds is 0; above 0 is needed"):
        Limits(seconds=0)
