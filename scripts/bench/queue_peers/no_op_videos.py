"""Videos of one step for measurements of the queue alone."""

from telecine.jobs.job_types import Capability, Submission
from telecine.v1 import video_pb2

NUM_TENANTS = 8
MODEL = "toybox"
CAPABILITY = Capability((MODEL,), (MODEL,), 0)


def make_submission(number: int) -> Submission:
    """Returns a request as the gateway would pass it on."""
    spec = video_pb2.VideoSpec(model=f"models/{MODEL}", prompt="a red ball", num_inference_steps=1)
    return Submission(
        spec=spec,
        num_frames=33,
        num_steps=1,
        tenant=f"tenant{number % NUM_TENANTS}",
        request_id=f"request{number}",
        fingerprint=b"0" * 32,
        model_version="1",
        model_digest="sha256:00",
        expanded_prompt="",
        warnings=(),
        step_units=1.0,
    )
