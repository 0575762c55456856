"""A request on its way to a video or to an estimate: routed, checked, resolved and priced."""

from dataclasses import dataclass

from telecine.api.auth.allowed_tiers import allowed_spec
from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_router import with_tier
from telecine.api.video_inputs import check_inputs, find_source
from telecine.api.video_spec import ResolvedSpec, resolve_spec
from telecine.jobs.job_types import SpendingLimits
from telecine.v1 import model_pb2, video_pb2


@dataclass(frozen=True)
class PricedRequest:
    """What a request comes to.

    Attributes:
        model: that makes the video.
        limits: what its tenant may take on.
    """

    model: model_pb2.Model
    resolved: ResolvedSpec
    price_microcredits: int
    limits: SpendingLimits


async def price_request(
    parts: GatewayParts, spec: video_pb2.VideoSpec, *, caller: Caller
) -> PricedRequest:
    """Returns what a video of `spec` would be and cost; the same for an estimate as for a video.

    Raises:
        InvalidFieldError: a field is not what the model can have.
        PermissionDeniedError: the caller's key, or its tenant, may not have that tier.
    """
    allowance = await parts.quotas.allowance_of(caller)
    spec = with_tier(allowed_spec(spec, caller), allowance.tiers)
    model = await parts.router.find_model(spec.model, field="spec.model")
    check_inputs(spec, model)
    source = await find_source(parts, spec, caller=caller)
    device_bytes = await parts.devices.largest_bytes(model.name)
    resolved = resolve_spec(spec, model, source, device_bytes=device_bytes)
    price = parts.prices.price_of(resolved.spec, num_frames=resolved.num_frames)
    return PricedRequest(model, resolved, price, allowance.limits)
