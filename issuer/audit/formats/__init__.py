"""An event as others want to read it. Each format is one file; `table` has them by name."""
