"""Credentials are read from two headers."""

import pytest

from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.auth.credentials import (
    AccessTokenText,
    only_headers,
    read_credentials,
)
from telecine.errors import UnauthenticatedError

KEY = ApiKeyText.draw()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY}"},
        {"x-api-key": str(KEY)},
        {"x-api-key": str(KEY), "authorization": ""},
    ],
)
def test_a_key_is_read(headers: dict[str, str]) -> None:
    assert read_credentials(headers) == KEY


def test_what_has_no_key_s_prefix_is_taken_for_a_token() -> None:
    assert read_credentials({"authorization": "Bearer a.b.c"}) == AccessTokenText("a.b.c")


@pytest.mark.parametrize(
    ("headers", "reason", "named"),
    [
        ({}, "CREDENTIALS_MISSING", "x-api-key"),
        ({"authorization": "Bearer"}, "CREDENTIALS_MALFORMED", "no token"),
        ({"authorization": str(KEY)}, "CREDENTIALS_MALFORMED", "Bearer KEY"),
        ({"authorization": f"Bearer {str(KEY)[:-1]}"}, "CREDENTIALS_MALFORMED", "authorization"),
        ({"x-api-key": "a.b.c"}, "CREDENTIALS_MALFORMED", "x-api-key"),
        ({"x-api-key": "x" * 8193}, "CREDENTIALS_MALFORMED", "8192"),
        (
            {"x-api-key": str(KEY), "authorization": f"Bearer {KEY}"},
            "CREDENTIALS_MALFORMED",
            "one of them",
        ),
    ],
)
def test_anything_else_is_refused_and_not_repeated(
    headers: dict[str, str], reason: str, named: str
) -> None:
    with pytest.raises(UnauthenticatedError) as raised:
        read_credentials(headers)
    assert raised.value.reason == reason
    assert named in raised.value.message
    assert KEY.secret[:-1] not in raised.value.message


def test_credentials_that_are_there_twice_are_refused() -> None:
    with pytest.raises(UnauthenticatedError, match="x-api-key is there twice"):
        only_headers([("x-api-key", str(KEY)), ("x-api-key", str(ApiKeyText.draw()))])


def test_other_headers_may_be_there_twice_and_hold_bytes() -> None:
    assert only_headers([("a", "1"), ("a", "2"), ("b-bin", b"\0")]) == {"a": "2"}
