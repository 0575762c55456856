"""The causal 3D VAE: frames to latents, and latents back to frames chunk by chunk."""
