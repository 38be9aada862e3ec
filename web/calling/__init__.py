"""The callout service: its configuration, its account, and its parts put together."""
