"""What the last bits of a result depend on, besides the weights and the inputs."""

import torch


def describe_numerics(device: torch.device) -> str:
    """Returns a line that is the same where the same computation gives the same bits."""
    if device.type == "cuda":
        kind = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    else:
        capability = torch.backends.cpu.get_cpu_capability()
        kind = f"{device.type} {capability}, {torch.get_num_threads()} threads"
    return f"torch {torch.__version__}, {kind}"
