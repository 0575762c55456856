"""The account's half of the client for asyncio: usage, quotas, API keys."""

from collections.abc import AsyncGenerator

from telecine.client.async_calls import AsyncUnaryCalls
from telecine.client.requests import account_name, resource_name
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
    usage_pb2,
)


class AsyncAccountCalls(AsyncUnaryCalls):
    """telecine.v1.AccountService."""

    _account: "account_service_pb2_grpc.AccountServiceAsyncStub"

    async def get_usage(self, tenant: str = "") -> usage_pb2.Usage:
        """Return what a tenant uses, the own one by default."""
        request = account_service_pb2.GetUsageRequest(name=account_name(tenant, "usage"))
        return await self._call(self._account.GetUsage, request)

    async def list_ledger(
        self, tenant: str = "", *, page_size: int = 50
    ) -> AsyncGenerator[usage_pb2.LedgerEntry, None]:
        """Yield what a tenant was charged, newest first; the next page is asked for when needed."""
        parent = resource_name("tenants", tenant)
        request = account_service_pb2.ListLedgerRequest(parent=parent, page_size=page_size)
        async for page in self._pages(self._account.ListLedger, request):
            for entry in page.entries:
                yield entry

    async def get_quota(self, tenant: str = "") -> usage_pb2.Quota:
        """Return what a tenant may use, the own one by default; -1 is no limit."""
        request = account_service_pb2.GetQuotaRequest(name=account_name(tenant, "quota"))
        return await self._call(self._account.GetQuota, request)

    async def update_quota(self, tenant: str, quota: usage_pb2.Quota) -> usage_pb2.Quota:
        """Set those numbers of a tenant's quota that are set in `quota`; -1 is no limit."""
        request = account_service_pb2.UpdateQuotaRequest(quota=quota)
        request.quota.name = account_name(tenant, "quota")
        return await self._call(self._account.UpdateQuota, request)

    async def get_caller(self) -> account_pb2.Caller:
        """Return whose key or token this client carries, and what it may do."""
        return await self._call(self._account.GetCaller, account_service_pb2.GetCallerRequest())

    async def create_api_key(self, key: account_pb2.ApiKey) -> account_pb2.ApiKey:
        """Make a key; the `secret` of this answer is shown once."""
        request = account_service_pb2.CreateApiKeyRequest(api_key=key)
        return await self._call(self._account.CreateApiKey, request, max_attempts=1)

    async def get_api_key(self, name: str) -> account_pb2.ApiKey:
        """Return one key."""
        request = account_service_pb2.GetApiKeyRequest(name=resource_name("apiKeys", name))
        return await self._call(self._account.GetApiKey, request)

    async def list_api_keys(
        self, tenant: str = "", *, page_size: int = 50
    ) -> AsyncGenerator[account_pb2.ApiKey, None]:
        """Yield the keys that are not revoked, of the caller's tenant, another, or all for `-`."""
        request = account_service_pb2.ListApiKeysRequest(tenant=tenant, page_size=page_size)
        async for page in self._pages(self._account.ListApiKeys, request):
            for key in page.api_keys:
                yield key

    async def revoke_api_key(self, name: str) -> account_pb2.ApiKey:
        """End a key for good."""
        request = account_service_pb2.RevokeApiKeyRequest(name=resource_name("apiKeys", name))
        return await self._call(self._account.RevokeApiKey, request)
