"""A family's whole way from a prompt to conditioning, in one process."""

import torch
from torch import Tensor

from telecine.engine.denoise import Conditioning
from telecine.engine.families.protocol import Family


class PromptEncoder:
    """The tokenizer and every encoder role, on the CPU."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._tokenizer = family.load_tokenizer()
        self._networks = {
            role.name: family.load_encoder(role.name) for role in family.encoder_roles
        }

    def encode(self, prompt: str) -> Conditioning:
        """What the denoiser reads of a prompt, a batch of one."""
        tensors = self.encode_all(prompt)
        return {name: tensors[name] for name in self._family.conditioning}

    @torch.no_grad()
    def encode_all(self, prompt: str) -> dict[str, Tensor]:
        """Every tensor on the way, by name: the tokenizer's and each role's outputs."""
        tokens = self._tokenizer.encode(prompt)
        tensors = {
            "input_ids": torch.from_numpy(tokens.input_ids),
            "attention_mask": torch.from_numpy(tokens.attention_mask),
        }
        for role in self._family.encoder_roles:
            outputs = self._networks[role.name](*(tensors[name] for name in role.inputs))
            outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
            tensors.update(zip(role.outputs, outputs, strict=True))
        return tensors
