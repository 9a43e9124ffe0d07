"""Draw poses, comparisons with ground truth, and training curves."""
