"""The model.py of roles that the built-in model does not have: the builder copies them."""
