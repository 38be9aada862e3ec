"""What the product must reach, measured as ratios against a baseline made in the same run."""
