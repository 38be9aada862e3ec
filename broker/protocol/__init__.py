"""The NATS client protocol: bytes in, calls out; words and frames back."""
