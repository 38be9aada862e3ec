"""Sockets: bytes from and to connections, whatever wraps them."""
