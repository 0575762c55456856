"""Text in: the tokenizer, the two encoders, and the projection that joins them."""
