"""Mochi 1 (Genmo 2024): an asymmetric diffusion transformer and its causal video decoder."""
