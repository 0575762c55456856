"""What the last bits of a result depend on, besides the weights and the inputs."""

import torch


def describe_numerics(device: torch.device, *, variant: str = "") -> str:
    """Returns a line that is the same where the same computation gives the same bits.

    `variant` names what of the computation was chosen: how it is laid out over ranks, say.
    """
    if device.type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    else:
        capability = torch.backends.cpu.get_cpu_capability()
        kind = f"{device.type} {capability}, {torch.get_num_threads()} threads"
    line = f"torch {torch.__version__}, {kind}"
    return f"{line}, {variant}" if variant else line
