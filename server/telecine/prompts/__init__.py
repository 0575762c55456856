"""What a person wrote, made fit for a model."""
