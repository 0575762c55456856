"""What AccountService does with API keys, for any edge."""

import re
from collections.abc import Collection

from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.auth.method_scopes import require_scope
from telecine.api.caller import Caller, Scope
from telecine.api.gateway_parts import GatewayParts
from telecine.api.name_pages import decode_page_token, encode_page_token
from telecine.api.request_validation import (
    MAX_LABEL_CHARACTERS,
    RESOURCE_ID,
    check_labels,
    check_page_size,
    check_timestamp,
    shown,
)
from telecine.errors import InvalidFieldError, NotFoundError, PermissionDeniedError
from telecine.jobs.api_key_store import API_KEY_COLLECTION
from telecine.v1 import account_pb2, account_service_pb2, video_pb2

ALL_TENANTS = "-"
_LAST_SECOND = 253_402_300_799  # of the year 9999, which a token may end after
_NAME = re.compile(r"apiKeys/[0-9a-f]{16}")
_PLACE = re.compile(rf"{RESOURCE_ID}/[0-9a-f]{{16}}")
_TENANT = re.compile(RESOURCE_ID)


async def get_caller(
    _parts: GatewayParts, _request: account_service_pb2.GetCallerRequest, *, caller: Caller
) -> account_pb2.Caller:
    """Returns who makes this very call."""
    return account_pb2.Caller(
        tenant=caller.tenant,
        principal=caller.principal,
        scopes=sorted(caller.scopes),
        tiers=caller.tiers,
    )


async def create_api_key(
    parts: GatewayParts, request: account_service_pb2.CreateApiKeyRequest, *, caller: Caller
) -> account_pb2.ApiKey:
    """Makes a key that may do no more than the caller; its secret is in this answer alone."""
    asked = request.api_key
    _check_asked(asked)
    tenant = asked.tenant or caller.tenant
    _require_tenant(tenant, caller)
    text = ApiKeyText.draw()
    key = new_api_key(text, tenant=tenant, scopes=_granted_scopes(asked.scopes, caller))
    key.display_name = asked.display_name
    key.tiers.extend(_granted_tiers(asked.tiers, caller))
    key.labels.update(asked.labels)
    _set_end(key, asked, caller)
    await parts.api_keys.add(key, text.digest)
    key.secret = str(text)
    return key


async def get_api_key(
    parts: GatewayParts, request: account_service_pb2.GetApiKeyRequest, *, caller: Caller
) -> account_pb2.ApiKey:
    """Returns one key, without its secret."""
    return await _find(parts, request.name, caller)


async def list_api_keys(
    parts: GatewayParts, request: account_service_pb2.ListApiKeysRequest, *, caller: Caller
) -> account_service_pb2.ListApiKeysResponse:
    """Returns a page of the keys of one tenant, or of all."""
    page_size = check_page_size(request.page_size)
    tenant = request.tenant or caller.tenant
    if tenant == ALL_TENANTS:
        require_scope(Scope.ADMIN, caller)
        tenant = ""
    else:
        check_tenant(tenant, field="tenant")
        _require_tenant(tenant, caller)
    after = decode_page_token(request.page_token, _check_place)
    if after and tenant and not after.startswith(f"{tenant}/"):
        raise InvalidFieldError("page_token", "is of another tenant's list")
    page = await parts.api_keys.list_page(tenant, page_size=page_size, after=after)
    return account_service_pb2.ListApiKeysResponse(
        api_keys=page.keys, next_page_token=encode_page_token(page.next_place)
    )


async def revoke_api_key(
    parts: GatewayParts, request: account_service_pb2.RevokeApiKeyRequest, *, caller: Caller
) -> account_pb2.ApiKey:
    """Ends a key for good."""
    key = await _find(parts, request.name, caller)
    return await parts.api_keys.revoke(key.name)


def new_api_key(text: ApiKeyText, *, tenant: str, scopes: Collection[str]) -> account_pb2.ApiKey:
    """Returns a key that is not stored yet, without its secret."""
    key = account_pb2.ApiKey(
        name=API_KEY_COLLECTION + text.key_id,
        tenant=tenant,
        scopes=sorted(scopes),
        state=account_pb2.ApiKey.STATE_ACTIVE,
    )
    key.create_time.GetCurrentTime()
    return key


async def _find(parts: GatewayParts, name: str, caller: Caller) -> account_pb2.ApiKey:
    """Another tenant's key is as if it were not there, but for an admin."""
    if not _NAME.fullmatch(name):
        raise InvalidFieldError("name", f"{shown(name)} is not of the form apiKeys/{{api_key}}")
    key = await parts.api_keys.get(name)
    if key.tenant != caller.tenant and Scope.ADMIN not in caller.scopes:
        raise NotFoundError(name)
    return key


def _check_asked(key: account_pb2.ApiKey) -> None:
    if len(key.display_name) > MAX_LABEL_CHARACTERS or not key.display_name.isprintable():
        raise InvalidFieldError(
            "api_key.display_name", f"takes at most {MAX_LABEL_CHARACTERS} printable characters"
        )
    if key.tenant:
        check_tenant(key.tenant, field="api_key.tenant")
    check_labels(key.labels, field="api_key.labels")
    if key.HasField("expire_time"):
        check_timestamp(key.expire_time, field="api_key.expire_time")


def check_tenant(tenant: str, *, field: str) -> None:
    """Raises InvalidFieldError for what cannot be a tenant's name."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidFieldError(field, f"{shown(tenant)} is not made of 1 to 64 of [A-Za-z0-9._-]")


def _check_place(place: str) -> None:
    if not _PLACE.fullmatch(place):
        raise InvalidFieldError("page_token", "was not given out by this service")


def _require_tenant(tenant: str, caller: Caller) -> None:
    if tenant != caller.tenant:
        require_scope(Scope.ADMIN, caller)


def _granted_scopes(asked: Collection[str], caller: Caller) -> set[str]:
    known = frozenset(Scope)
    if not asked:
        raise InvalidFieldError("api_key.scopes", f"is empty; there are {', '.join(sorted(known))}")
    for scope in asked:
        if scope not in known:
            raise InvalidFieldError(
                "api_key.scopes", f"{shown(scope)} is none of {', '.join(sorted(known))}"
            )
        require_scope(Scope(scope), caller)
    return set(asked)


def _set_end(key: account_pb2.ApiKey, asked: account_pb2.ApiKey, caller: Caller) -> None:
    """Lets a key end as was asked for, and with its maker's credentials at the latest."""
    if asked.HasField("expire_time"):
        end = asked.expire_time.ToNanoseconds()
        if end <= key.create_time.ToNanoseconds():
            raise InvalidFieldError("api_key.expire_time", "is not in the future")
        if caller.expire_time is not None and end / 1e9 > caller.expire_time:
            raise InvalidFieldError(
                "api_key.expire_time", f"is later than that of {caller.principal}, its maker"
            )
        key.expire_time.CopyFrom(asked.expire_time)
    elif caller.expire_time is not None:
        key.expire_time.FromMicroseconds(int(min(caller.expire_time, _LAST_SECOND) * 1e6))


def _granted_tiers(
    asked: Collection[video_pb2.Tier.ValueType], caller: Caller
) -> list[video_pb2.Tier.ValueType]:
    for tier in asked:
        if tier not in video_pb2.Tier.values() or tier == video_pb2.TIER_UNSPECIFIED:
            raise InvalidFieldError("api_key.tiers", f"{tier} is no tier")
        if caller.tiers and tier not in caller.tiers:
            name = video_pb2.Tier.Name(tier)
            raise PermissionDeniedError(
                f"{caller.principal} may not make {name} videos", field="api_key.tiers"
            )
    return list(dict.fromkeys(asked)) or list(caller.tiers)
