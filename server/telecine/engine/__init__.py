"""The models in PyTorch: no queue, no network and no storage in here."""
