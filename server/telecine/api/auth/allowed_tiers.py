"""The tiers that a caller's videos may have."""

from telecine.api.caller import Caller
from telecine.errors import PermissionDeniedError
from telecine.v1 import video_pb2


def allowed_spec(spec: video_pb2.VideoSpec, caller: Caller) -> video_pb2.VideoSpec:
    """Returns the spec, with the caller's own default where it names no tier.

    Raises:
        PermissionDeniedError: it names a tier that the caller may not use.
    """
    if not caller.tiers:
        return spec
    if spec.tier == video_pb2.TIER_UNSPECIFIED:
        allowed = video_pb2.VideoSpec()
        allowed.CopyFrom(spec)
        allowed.tier = caller.tiers[0]
        return allowed
    # A number that is no tier is the request's fault, not the caller's.
    if spec.tier in video_pb2.Tier.values() and spec.tier not in caller.tiers:
        name = video_pb2.Tier.Name(spec.tier)
        raise PermissionDeniedError(
            f"{caller.principal} may not make {name} videos", field="spec.tier"
        )
    return spec
