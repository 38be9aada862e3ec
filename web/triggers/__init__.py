"""Triggers: what is told from outside, or found out there, and cuts people off by itself."""
