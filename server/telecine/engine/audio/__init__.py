"""Sound: its latents, what denoises them beside the picture, and what makes a waveform of them."""
