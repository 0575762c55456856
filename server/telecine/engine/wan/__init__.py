"""The Wan 2.x video transformer: loads the published folders' tensors under their own names."""
