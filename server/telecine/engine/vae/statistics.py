"""What a VAE's latents are normalised by."""

import torch
from torch import Tensor, nn


class NormalisingVAE(nn.Module):
    """A VAE that knows mean and standard deviation of each channel of its latents."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self._mean, self._std = mean, std

    def normalise(self, latents: Tensor) -> Tensor:
        """Bring the encoder's latents [B, C, ...] to zero mean and unit variance, per channel."""
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def denormalise(self, latents: Tensor) -> Tensor:
        """Undo `normalise`."""
        mean, std = self._statistics(latents)
        return latents * std + mean

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        def per_channel(values: tuple[float, ...]) -> Tensor:
            return torch.tensor(values).to(latents).view(1, -1, *[1] * (latents.ndim - 2))

        return per_channel(self._mean), per_channel(self._std)
