"""Names of uploads, which tell whose they are: no record is kept of them."""

import hashlib
import re
import secrets

from telecine.api.request_validation import RESOURCE_ID, shown
from telecine.errors import InvalidFieldError

_PREFIX = "media/"
_MEDIA_NAME = re.compile(rf"{_PREFIX}{RESOURCE_ID}")
_RANDOM_CHARACTERS = 32
_OWNER_CHARACTERS = 16


def new_media_name(tenant: str) -> str:
    """Returns a name that nobody can guess."""
    drawn = secrets.token_hex(_RANDOM_CHARACTERS // 2)
    return f"{_PREFIX}{drawn}{_owner_mark(drawn, tenant)}"


def check_media_name(name: str, *, field: str) -> None:
    """Raises InvalidFieldError unless `name` has the form `media/{media}`."""
    if not _MEDIA_NAME.fullmatch(name):
        raise InvalidFieldError(field, f"{shown(name)} is not of the form media/{{media}}")


def is_owned_media(name: str, tenant: str) -> bool:
    """Whether an upload of that name is the tenant's, if there is one."""
    drawn = name.removeprefix(_PREFIX)[:_RANDOM_CHARACTERS]
    return name == f"{_PREFIX}{drawn}{_owner_mark(drawn, tenant)}"


def check_owned_media(name: str, tenant: str, *, field: str) -> None:
    """Refuses an upload that is not the tenant's, as if it did not exist.

    Raises:
        InvalidFieldError: it is not.
    """
    if not is_owned_media(name, tenant):
        raise InvalidFieldError(field, f"{shown(name)} does not exist")


def _owner_mark(drawn: str, tenant: str) -> str:
    return hashlib.sha256(f"{drawn} {tenant}".encode()).hexdigest()[:_OWNER_CHARACTERS]
