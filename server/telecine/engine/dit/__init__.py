"""The diffusion transformer of the built-in family, part by part."""
