"""How an answer is steered by comparing it with worse ones.

Three comparisons, each with its scale: with the negative prompt (classifier-free guidance, Ho
and Salimans 2022), with a network some of whose blocks do not attend (spatio-temporal skip
guidance, Hyung et al. 2024), and with one whose modalities do not see each other.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Scales(NamedTuple):
    """How far one modality is moved away from each worse answer, and then back.

    Attributes:
        prompt: away from the negative prompt; 1 not at all.
        skip: away from the network that attends less; 0 not at all.
        isolation: away from modalities that do not see each other; 1 not at all.
        rescale: how much of the spread that this adds is taken back (Lin et al. 2024, 3.4).
    """

    prompt: float
    skip: float
    isolation: float
    rescale: float


@dataclass(frozen=True)
class LTX2Guidance:
    """The authors' recommendation; the picture's `prompt` scale is the request's own.

    Attributes:
        skipping_blocks: whose self-attention `skip` leaves out.
    """

    audio_prompt: float = 7.0
    skip: float = 1.0
    isolation: float = 3.0
    rescale: float = 0.7
    skipping_blocks: frozenset[int] = frozenset({28})

    def video_scales(self, guidance_scale: float) -> Scales:
        """Those of the picture."""
        return Scales(guidance_scale, self.skip, self.isolation, self.rescale)

    @property
    def audio_scales(self) -> Scales:
        """Those of the sound."""
        return Scales(self.audio_prompt, self.skip, self.isolation, self.rescale)


class Answers(NamedTuple):
    """Clean estimates of one modality; None where a comparison is not made."""

    positive: Tensor
    negative: Tensor
    isolated: Tensor | None = None
    skipped: Tensor | None = None


def guide(answers: Answers, scales: Scales) -> Tensor:
    """The estimate to go on with."""
    positive = answers.positive
    guided = positive + (scales.prompt - 1.0) * (positive - answers.negative)
    if answers.skipped is not None:
        guided = guided + scales.skip * (positive - answers.skipped)
    if answers.isolated is not None:
        guided = guided + (scales.isolation - 1.0) * (positive - answers.isolated)
    narrowed = guided * (positive.std() / guided.std())
    return scales.rescale * narrowed + (1.0 - scales.rescale) * guided
