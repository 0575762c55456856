"""What AccountService does about usage, ledgers and quotas, for any edge."""

import re

from telecine.api.auth.method_scopes import require_scope
from telecine.api.caller import Caller, Scope
from telecine.api.gateway_parts import GatewayParts
from telecine.api.name_pages import decode_page_token, encode_page_token
from telecine.api.quota_manager import NO_LIMIT
from telecine.api.request_validation import RESOURCE_ID, check_page_size, shown
from telecine.errors import InvalidFieldError
from telecine.jobs.account_store import NUMBERS
from telecine.jobs.event_log import parse_event_id
from telecine.v1 import account_service_pb2, usage_pb2, video_pb2

_RATES = frozenset({"microcredits_per_second", "requests_per_second"})
_FIELDS = (*NUMBERS, "tiers")
_MAX_NUMBER = 2**53 - 1  # the functions count in doubles


async def get_usage(
    parts: GatewayParts, request: account_service_pb2.GetUsageRequest, *, caller: Caller
) -> usage_pb2.Usage:
    """Returns what a tenant uses now."""
    tenant = _tenant_of(request.name, caller, field="name", suffix="/usage")
    return await parts.quotas.usage_of(tenant)


async def list_ledger(
    parts: GatewayParts, request: account_service_pb2.ListLedgerRequest, *, caller: Caller
) -> account_service_pb2.ListLedgerResponse:
    """Returns a page of a tenant's ledger, newest entry first."""
    tenant = _tenant_of(request.parent, caller, field="parent", suffix="")
    page = await parts.quotas.accounts.ledger(
        tenant,
        page_size=check_page_size(request.page_size),
        before=decode_page_token(request.page_token, _check_entry),
    )
    token = page_token_after(page.entries[-1].entry_id) if page.has_more else ""
    return account_service_pb2.ListLedgerResponse(entries=page.entries, next_page_token=token)


async def get_quota(
    parts: GatewayParts, request: account_service_pb2.GetQuotaRequest, *, caller: Caller
) -> usage_pb2.Quota:
    """Returns how much a tenant may use."""
    tenant = _tenant_of(request.name, caller, field="name", suffix="/quota")
    return await parts.quotas.effective_quota(tenant)


async def update_quota(
    parts: GatewayParts, request: account_service_pb2.UpdateQuotaRequest, *, caller: Caller
) -> usage_pb2.Quota:
    """Sets how much a tenant may use."""
    require_scope(Scope.ADMIN, caller)
    tenant = _tenant_of(request.quota.name, caller, field="quota.name", suffix="/quota")
    fields = _fields_to_set(request)
    _check_quota(request.quota)
    return await parts.quotas.set_quota(tenant, request.quota, fields=fields)


def _tenant_of(name: str, caller: Caller, *, field: str, suffix: str) -> str:
    """Returns whose account `tenants/{tenant}` and `suffix` name; the caller's for "".

    Raises:
        InvalidFieldError: it has another form.
        PermissionDeniedError: it is another tenant's, and the caller is no operator.
    """
    if not name:
        return caller.tenant
    match = re.fullmatch(rf"tenants/({RESOURCE_ID}){suffix}", name)
    if match is None:
        form = f"tenants/{{tenant}}{suffix}"
        raise InvalidFieldError(field, f"{shown(name)} is not of the form {form}")
    if match.group(1) != caller.tenant:
        require_scope(Scope.ADMIN, caller)
    return match.group(1)


def _fields_to_set(request: account_service_pb2.UpdateQuotaRequest) -> list[str]:
    paths = list(request.update_mask.paths)
    for index, path in enumerate(paths):
        if path not in _FIELDS:
            taken = ", ".join(_FIELDS)
            raise InvalidFieldError(f"update_mask.paths[{index}]", f"is none of {taken}")
    return paths or [field.name for field, _ in request.quota.ListFields() if field.name != "name"]


def _check_quota(quota: usage_pb2.Quota) -> None:
    for name in NUMBERS:
        number = getattr(quota, name)
        least = 1 if name in _RATES else 0
        if quota.HasField(name) and number != NO_LIMIT and not least <= number <= _MAX_NUMBER:  # type: ignore[arg-type]
            raise InvalidFieldError(
                f"quota.{name}", f"{number} is neither -1 nor from {least} to {_MAX_NUMBER}"
            )
    for index, tier in enumerate(quota.tiers):
        if not tier or tier not in video_pb2.Tier.values():
            raise InvalidFieldError(f"quota.tiers[{index}]", f"{tier} is not a tier")


def page_token_after(entry_id: str) -> str:
    """Returns the token of the page that begins behind an entry of the ledger."""
    return encode_page_token(entry_id)


def _check_entry(entry_id: str) -> None:
    if parse_event_id(entry_id) == (0, 0):  # Redis has no range that ends before it
        raise InvalidFieldError("page_token", "was not given out by this service")
