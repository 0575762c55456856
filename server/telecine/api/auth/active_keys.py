"""Whether credentials that were good still are."""

from telecine.api.caller import Caller
from telecine.errors import UnauthenticatedError
from telecine.jobs.api_key_store import API_KEY_COLLECTION, StoredKey
from telecine.v1 import account_pb2


def require_active_key(stored: StoredKey | None) -> account_pb2.ApiKey:
    """Returns a key that counts.

    Raises:
        UnauthenticatedError: it was revoked, its time is over, or there is none.
    """
    if stored is None:
        raise unknown_key_error()
    key = stored.key
    key_id = key.name.removeprefix(API_KEY_COLLECTION)
    if key.state == account_pb2.ApiKey.STATE_REVOKED:
        raise UnauthenticatedError(f"the API key {key_id} was revoked", reason="API_KEY_REVOKED")
    if key.state == account_pb2.ApiKey.STATE_EXPIRED:
        raise _expired_key_error(key_id)
    return key


def unknown_key_error() -> UnauthenticatedError:
    """Returns what is told of a key that does not exist, and of a wrong secret."""
    return UnauthenticatedError("there is no such API key", reason="API_KEY_INVALID")


def expired_error(caller: Caller) -> UnauthenticatedError:
    """Returns what a caller is told whose time is over."""
    return _expired_key_error(caller.key_id) if caller.key_id else expired_token_error()


def expired_token_error() -> UnauthenticatedError:
    """Returns what is told of an access token whose time is over."""
    return UnauthenticatedError("the access token has expired", reason="ACCESS_TOKEN_EXPIRED")


def _expired_key_error(key_id: str) -> UnauthenticatedError:
    return UnauthenticatedError(f"the API key {key_id} has expired", reason="API_KEY_EXPIRED")
