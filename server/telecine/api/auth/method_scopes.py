"""What each method asks of its caller, for every edge."""

from telecine.api.caller import Caller, Scope
from telecine.errors import PermissionDeniedError

# None: any caller may. A method that is not here cannot be called.
_SCOPES: dict[str, dict[str, Scope | None]] = {
    "telecine.v1.VideoService": {
        "CreateVideo": Scope.VIDEOS_WRITE,
        "BatchCreateVideos": Scope.VIDEOS_WRITE,
        "EstimateCost": Scope.VIDEOS_READ,
        "GetVideo": Scope.VIDEOS_READ,
        "ListVideos": Scope.VIDEOS_READ,
        "WatchVideo": Scope.VIDEOS_READ,
        "WatchVideos": Scope.VIDEOS_READ,
        "CancelVideo": Scope.VIDEOS_WRITE,
        "PauseVideo": Scope.VIDEOS_WRITE,
        "ResumeVideo": Scope.VIDEOS_WRITE,
        "DeleteVideo": Scope.VIDEOS_WRITE,
        "DownloadVideo": Scope.VIDEOS_READ,
        "UploadMedia": Scope.VIDEOS_WRITE,
        "GetMedia": Scope.VIDEOS_READ,
        "ListMedia": Scope.VIDEOS_READ,
        "DeleteMedia": Scope.VIDEOS_WRITE,
    },
    "telecine.v1.ModelService": {"ListModels": None, "GetModel": None},
    "telecine.v1.WorkerService": {
        "ListWorkers": Scope.ADMIN,
        "GetWorker": Scope.ADMIN,
        "WatchWorkers": Scope.ADMIN,
        "DrainWorker": Scope.ADMIN,
    },
    "telecine.v1.AccountService": {
        "GetCaller": None,
        "CreateApiKey": Scope.KEYS_MANAGE,
        "GetApiKey": Scope.KEYS_MANAGE,
        "ListApiKeys": Scope.KEYS_MANAGE,
        "RevokeApiKey": Scope.KEYS_MANAGE,
        # Another tenant's takes `admin` too.
        "GetUsage": Scope.VIDEOS_READ,
        "ListLedger": Scope.VIDEOS_READ,
        "GetQuota": Scope.VIDEOS_READ,
        "UpdateQuota": Scope.ADMIN,
    },
}
METHOD_SCOPES: dict[str, Scope | None] = {
    f"/{service}/{method}": scope
    for service, methods in _SCOPES.items()
    for method, scope in methods.items()
}


def require_scope_of(method: str, caller: Caller) -> None:
    """Lets a caller make a call of `/package.Service/Method`.

    Raises:
        PermissionDeniedError: the caller lacks the scope, or the method has no entry.
    """
    try:
        scope = METHOD_SCOPES[method]
    except KeyError:
        raise PermissionDeniedError(f"{method} may be called by nobody") from None
    if scope is not None:
        require_scope(scope, caller)


def require_scope(scope: Scope, caller: Caller) -> None:
    """Raises PermissionDeniedError unless the caller has the scope."""
    if scope not in caller.scopes:
        raise PermissionDeniedError(f"{caller.principal} lacks the scope {scope}", scope=scope)
