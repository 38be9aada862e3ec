"""Signed text and what it proves."""
