"""What a call brings to say who makes it, in its headers and nowhere else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from telecine.api.auth.api_key_text import PREFIX, ApiKeyText
from telecine.errors import UnauthenticatedError

MAX_CREDENTIAL_CHARACTERS = 8192
_HEADERS = ("authorization", "x-api-key")


@dataclass(frozen=True)
class AccessTokenText:
    """A text that must be a JWT."""

    text: str


Credentials = ApiKeyText | AccessTokenText


def read_credentials(headers: Mapping[str, str]) -> Credentials:
    """Returns what `authorization: Bearer ...` or `x-api-key: ...` holds.

    Raises:
        UnauthenticatedError: there is nothing, too much, or something of another form.
    """
    given = [name for name in _HEADERS if headers.get(name)]
    if not given:
        raise UnauthenticatedError(
            "no credentials: send `authorization: Bearer KEY` or `x-api-key: KEY`",
            reason="CREDENTIALS_MISSING",
        )
    if len(given) > 1:
        raise _malformed("authorization and x-api-key are both there: send one of them")
    (name,) = given
    value = headers[name]
    if len(value) > MAX_CREDENTIAL_CHARACTERS:
        raise _malformed(f"{name} has more than {MAX_CREDENTIAL_CHARACTERS} characters")
    return _read(name, value)


def only_headers(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Returns a call's headers by name, without those that hold bytes.

    Raises:
        UnauthenticatedError: credentials are there twice.
    """
    headers: dict[str, str] = {}
    for name, value in pairs:
        if isinstance(value, str):
            if name in headers and name in _HEADERS:
                raise _malformed(f"{name} is there twice")
            headers[name] = value
    return headers


def _read(name: str, value: str) -> Credentials:
    text = value
    if name == "authorization":
        scheme, _, text = value.partition(" ")
        text = text.strip(" ")
        if scheme.lower() != "bearer":
            raise _malformed("authorization is not of the form `Bearer KEY`")
    if not text:
        raise _malformed(f"{name} holds no token")
    if name == "authorization" and not text.startswith(PREFIX):
        return AccessTokenText(text)
    key = ApiKeyText.parse(text)
    if key is None:
        raise _malformed(f"{name} holds no API key: one is {PREFIX}, 16 and 43 characters")
    return key


def _malformed(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(message, reason="CREDENTIALS_MALFORMED")
