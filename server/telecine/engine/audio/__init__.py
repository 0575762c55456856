"""Sound: what is denoised beside the picture, and what makes a waveform of it."""
