"""Every method of the contract says what it takes, and a method that does not cannot be called."""

import pytest
from google.protobuf import descriptor_pool

from telecine.api.auth.method_scopes import METHOD_SCOPES, require_scope_of
from telecine.api.caller import LOCAL_CALLER, Caller
from telecine.api.grpc_server import SERVICE_NAMES
from telecine.errors import PermissionDeniedError

NOBODY_SPECIAL = Caller(tenant="acme", principal="robot", scopes=frozenset())


def methods_of_the_contract() -> set[str]:
    pool = descriptor_pool.Default()
    return {
        f"/{name}/{method.name}"
        for name in SERVICE_NAMES
        for method in pool.FindServiceByName(name).methods
    }


def test_every_method_of_the_contract_has_an_entry_and_nothing_else_has() -> None:
    assert METHOD_SCOPES.keys() == methods_of_the_contract()


def test_an_operator_may_do_everything() -> None:
    for method in METHOD_SCOPES:
        require_scope_of(method, LOCAL_CALLER)


def test_without_scopes_a_caller_sees_itself_and_the_models_alone() -> None:
    open_methods = {method for method, scope in METHOD_SCOPES.items() if scope is None}
    for method in METHOD_SCOPES.keys() - open_methods:
        with pytest.raises(PermissionDeniedError) as raised:
            require_scope_of(method, NOBODY_SPECIAL)
        assert raised.value.scope == METHOD_SCOPES[method]
    names = sorted(method.rpartition("/")[2] for method in open_methods)
    assert names == ["GetCaller", "GetModel", "ListModels"]


def test_a_method_without_an_entry_may_be_called_by_nobody() -> None:
    with pytest.raises(PermissionDeniedError):
        require_scope_of("/telecine.v1.VideoService/NewMethod", LOCAL_CALLER)
