"""Pages of resources that are few and listed by name."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from telecine.errors import InvalidFieldError


class Named(Protocol):
    """A resource."""

    name: str


NamedT = TypeVar("NamedT", bound=Named)


def page_by_name(
    resources: Iterable[NamedT],
    *,
    page_size: int,
    page_token: str,
    check_name: Callable[[str], object],
) -> tuple[list[NamedT], str]:
    """Returns the page that begins after the token, and the next token, empty on the last page.

    Raises:
        InvalidFieldError: no such token was given out; `check_name` refuses the name in it.
    """
    after = decode_page_token(page_token, check_name)
    ordered = sorted(resources, key=lambda resource: resource.name)
    following = [resource for resource in ordered if resource.name > after]
    page = following[:page_size]
    return page, encode_page_token(page[-1].name) if len(following) > page_size else ""


def encode_page_token(place: str) -> str:
    """Returns the token of the page after a place; empty for none."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def decode_page_token(page_token: str, check_name: Callable[[str], object]) -> str:
    """Returns the place in a token, empty for the first page.

    Raises:
        InvalidFieldError: no such token was given out; `check_name` refuses the place in it.
    """
    if not page_token:
        return ""
    try:
        name = base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
        check_name(name)
    except (binascii.Error, ValueError, InvalidFieldError) as error:
        raise InvalidFieldError("page_token", "was not given out by this service") from error
    return name
