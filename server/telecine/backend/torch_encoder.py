"""An encoder role of a family, in PyTorch."""

import torch

from telecine.backend.devices import choose_device
from telecine.backend.precision import EncoderInPrecision, encoder_precision
from telecine.backend.request_reader import RequestReader
from telecine.backend.responses import Outputs
from telecine.engine.families import load_family


class TorchEncoder:
    """One network of the chain from a prompt's tokens to conditioning, on its device."""

    def __init__(self, weights: str, role: str) -> None:
        family = load_family(weights)
        (self._role,) = (each for each in family.encoder_roles if each.name == role)
        self._device = choose_device()
        network = family.load_encoder(role)
        if self._device.type == "cuda":
            network = EncoderInPrecision(network, encoder_precision(network))
        self._network = network.to(self._device)

    @torch.inference_mode()
    def run(self, request: RequestReader) -> Outputs:
        """See `telecine.backend.encoder.Encoder`."""
        arrays = (request.array(name) for name in self._role.inputs)
        results = self._network(*(torch.tensor(values).to(self._device) for values in arrays))
        results = (results,) if isinstance(results, torch.Tensor) else results
        return {
            name: result.cpu().numpy()
            for name, result in zip(self._role.outputs, results, strict=True)
        }
