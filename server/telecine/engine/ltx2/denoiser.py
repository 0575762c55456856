"""The joint transformer at work on a job: all guided answers of a step in one batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from telecine.engine.denoise import Conditioning, SamplingConfig
from telecine.engine.latents import FinishedFrames, Latents
from telecine.engine.ltx2.block import Rows, Tokens
from telecine.engine.ltx2.guidance import Answers, LTX2Guidance, Scales, guide
from telecine.engine.ltx2.modulation import Modulation
from telecine.engine.ltx2.rotary import RotaryTables, rotary_tables
from telecine.engine.ltx2.transformer import LTX2Transformer, ReadText

_NEGATIVE, _POSITIVE = 0, 1
_ALONE = Rows(prompts=(0,), num_joint=1)


@dataclass(frozen=True)
class _Job:
    """What all steps of a job share."""

    text: ReadText
    rotary: RotaryTables
    modulations: dict[float, Modulation]
    rows: Rows
    scales: tuple[Scales, Scales] | None
    """The picture's and the sound's; None without guidance."""


class LTX2Denoiser:
    """See `telecine.engine.denoise.Denoiser`.

    Keeps what the last job's steps share, for that job's next slice.

    Attributes:
        networks: by the folder of their weights.
    """

    def __init__(self, transformer: LTX2Transformer, guidance: LTX2Guidance | None = None) -> None:
        self.networks = {"transformer": transformer}
        self._transformer = transformer
        self._guidance = guidance or LTX2Guidance()
        self._last: tuple[_Key, _Job] | None = None

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> "LTX2Velocity":
        """Without a negative prompt there is no guidance at all, as distilled folders want it."""
        if context is not None:
            raise ValueError("attention: LTX-2 cannot denoise chunk by chunk")
        if config.audio_latents_shape is None:
            raise ValueError("audio_latents_shape: LTX-2 denoises picture and sound jointly")
        key = _Key(prompt, negative_prompt, config)
        if self._last is None or not self._last[0].equals(key):
            self._last = None  # frees the one before
            self._last = key, self._prepare(prompt, negative_prompt, config)
        return LTX2Velocity(self._transformer, self._last[1], self._guidance.skipping_blocks)

    def _prepare(
        self, prompt: Conditioning, negative_prompt: Conditioning | None, config: SamplingConfig
    ) -> _Job:
        prompts = [prompt] if negative_prompt is None else [negative_prompt, prompt]
        names = "prompt_embeds", "audio_prompt_embeds"
        text = Tokens(*(torch.cat([each[name] for each in prompts]) for name in names))
        _, _, *latent_size = config.latents_shape
        assert config.audio_latents_shape is not None
        levels = config.sigmas[:-1]
        modulation = self._transformer.modulation(levels)
        guidance = self._guidance
        return _Job(
            text=self._transformer.read_text(text),
            rotary=rotary_tables(
                self._transformer.config,
                (latent_size[0], latent_size[1], latent_size[2]),
                config.audio_latents_shape[2],
                fps=config.fps,
                device=self._transformer.device,
            ),
            modulations={level: modulation.at(index) for index, level in enumerate(levels)},
            rows=_ALONE if negative_prompt is None else self._rows(),
            scales=(
                None
                if negative_prompt is None
                else (guidance.video_scales(config.guidance_scale), guidance.audio_scales)
            ),
        )

    def _rows(self) -> Rows:
        """Negative, positive, skipped, isolated: of the last two those that change anything."""
        prompts = [_NEGATIVE, _POSITIVE]
        skipped = None
        if self._guidance.skip > 0.0 and self._transformer.config.perturbed_attn:
            skipped = len(prompts)
            prompts.append(_POSITIVE)
        num_joint = len(prompts)
        if self._guidance.isolation != 1.0:
            prompts.append(_POSITIVE)
        return Rows(tuple(prompts), num_joint, skipped)


class LTX2Velocity:
    """See `telecine.engine.denoise.Velocity`."""

    def __init__(
        self, transformer: LTX2Transformer, job: _Job, skipping_blocks: frozenset[int]
    ) -> None:
        self._transformer = transformer
        self._job = job
        self._skipping_blocks = skipping_blocks

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """[1, C, T, H, W] and [1, C, T, M] at noise level `sigma` -> their velocities."""
        video, audio = latents
        assert audio is not None
        job = self._job
        modulation = job.modulations.get(sigma) or self._transformer.modulation([sigma]).at(0)
        # A token is all of a place's values: a latent pixel, or a moment of sound.
        tokens = Tokens(video.flatten(2).transpose(1, 2), audio.transpose(1, 2).flatten(2))
        answers = self._transformer(
            tokens,
            job.text,
            modulation,
            rotary=job.rotary,
            rows=job.rows,
            skipping_blocks=self._skipping_blocks,
        )
        if job.scales is None:
            guided = Tokens(answers.video.float(), answers.audio.float())
        else:
            video_scales, audio_scales = job.scales
            guided = Tokens(
                _guided(tokens.video, answers.video, sigma, rows=job.rows, scales=video_scales),
                _guided(tokens.audio, answers.audio, sigma, rows=job.rows, scales=audio_scales),
            )
        return Latents(
            guided.video.transpose(1, 2).reshape(video.shape),
            guided.audio.unflatten(2, (audio.shape[1], -1)).transpose(1, 2),
        )


def _guided(
    noisy: Tensor, velocities: Tensor, sigma: float, *, rows: Rows, scales: Scales
) -> Tensor:
    """One velocity of those of all rows: guided as clean estimates, which rescaling needs."""
    clean = noisy - sigma * velocities.float()
    one_by_one = clean.split(1)
    num_rows = len(rows.prompts)
    answers = Answers(
        positive=one_by_one[_POSITIVE],
        negative=one_by_one[_NEGATIVE],
        skipped=None if rows.skipped is None else one_by_one[rows.skipped],
        isolated=one_by_one[-1] if rows.num_joint < num_rows else None,
    )
    return (noisy - guide(answers, scales)) / sigma


class _Key:
    """What a job's shared part depends on, compared by content."""

    def __init__(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
    ) -> None:
        self._prompts = (prompt, negative_prompt or {})
        self._values = (
            config.sigmas,
            config.latents_shape,
            config.audio_latents_shape,
            config.fps,
            config.guidance_scale,
            config.loras,
            negative_prompt is None,
        )

    def equals(self, other: "_Key") -> bool:
        """Whether the other's job can use what this one's has prepared."""
        return self._values == other._values and all(
            mine.keys() == theirs.keys()
            and all(torch.equal(mine[name], theirs[name]) for name in mine)
            for mine, theirs in zip(self._prompts, other._prompts, strict=True)
        )
