"""Drawn poses, pictures side by side, training curves."""
