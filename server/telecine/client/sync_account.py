"""The account's half of the client: usage, quotas, API keys."""

from collections.abc import Generator

from telecine.client.requests import account_name, resource_name
from telecine.client.sync_calls import UnaryCalls
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
    usage_pb2,
)


class AccountCalls(UnaryCalls):
    """telecine.v1.AccountService."""

    _account: "account_service_pb2_grpc.AccountServiceStub"

    def get_usage(self, tenant: str = "") -> usage_pb2.Usage:
        """Return what a tenant uses, the own one by default."""
        request = account_service_pb2.GetUsageRequest(name=account_name(tenant, "usage"))
        return self._call(self._account.GetUsage, request)

    def list_ledger(
        self, tenant: str = "", *, page_size: int = 50
    ) -> Generator[usage_pb2.LedgerEntry, None, None]:
        """Yield what a tenant was charged, newest first; the next page is asked for when needed."""
        parent = resource_name("tenants", tenant)
        request = account_service_pb2.ListLedgerRequest(parent=parent, page_size=page_size)
        for page in self._pages(self._account.ListLedger, request):
            yield from page.entries

    def get_quota(self, tenant: str = "") -> usage_pb2.Quota:
        """Return what a tenant may use, the own one by default; -1 is no limit."""
        request = account_service_pb2.GetQuotaRequest(name=account_name(tenant, "quota"))
        return self._call(self._account.GetQuota, request)

    def update_quota(self, tenant: str, quota: usage_pb2.Quota) -> usage_pb2.Quota:
        """Set those numbers of a tenant's quota that are set in `quota`; -1 is no limit."""
        request = account_service_pb2.UpdateQuotaRequest(quota=quota)
        request.quota.name = account_name(tenant, "quota")
        return self._call(self._account.UpdateQuota, request)

    def get_caller(self) -> account_pb2.Caller:
        """Return whose key or token this client carries, and what it may do."""
        return self._call(self._account.GetCaller, account_service_pb2.GetCallerRequest())

    def create_api_key(self, key: account_pb2.ApiKey) -> account_pb2.ApiKey:
        """Make a key; the `secret` of this answer is shown once."""
        request = account_service_pb2.CreateApiKeyRequest(api_key=key)
        return self._call(self._account.CreateApiKey, request, max_attempts=1)

    def get_api_key(self, name: str) -> account_pb2.ApiKey:
        """Return one key."""
        request = account_service_pb2.GetApiKeyRequest(name=resource_name("apiKeys", name))
        return self._call(self._account.GetApiKey, request)

    def list_api_keys(
        self, tenant: str = "", *, page_size: int = 50
    ) -> Generator[account_pb2.ApiKey, None, None]:
        """Yield the keys that are not revoked, of the caller's tenant, another, or all for `-`."""
        request = account_service_pb2.ListApiKeysRequest(tenant=tenant, page_size=page_size)
        for page in self._pages(self._account.ListApiKeys, request):
            yield from page.api_keys

    def revoke_api_key(self, name: str) -> account_pb2.ApiKey:
        """End a key for good."""
        request = account_service_pb2.RevokeApiKeyRequest(name=resource_name("apiKeys", name))
        return self._call(self._account.RevokeApiKey, request)
