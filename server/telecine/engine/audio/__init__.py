"""Sound: the built-in audio VAE."""
