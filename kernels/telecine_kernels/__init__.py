"""Hand-written GPU kernels with their PyTorch references."""
