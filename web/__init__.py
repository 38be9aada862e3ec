"""The service: HTTP, the composition of all rooms, `up` and `serve`."""
