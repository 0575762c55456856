"""One denoiser on several devices: layouts, meshes, and how a network is split over them."""
