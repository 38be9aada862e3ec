"""Fuzz targets: `python -m tests.fuzz [protocol|connect] --runs N --seed S`."""
