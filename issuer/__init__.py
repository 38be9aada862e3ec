"""The authority: keys, tokens, the store, delivery, audit and the command line."""

__version__ = "0.1.0"
