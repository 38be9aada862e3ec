"""From a proved identity to a grant: bindings in order, nothing granted in part, every step kept.

Pure: no clock, no chance, no files but the time zones of windows, looked up when a policy is read.
"""
