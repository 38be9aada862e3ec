"""NKeys, curve keys and the files that carry them."""
