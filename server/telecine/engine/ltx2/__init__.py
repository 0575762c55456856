"""LTX-2: one transformer that denoises a video and its sound jointly (HaCohen et al. 2026)."""
