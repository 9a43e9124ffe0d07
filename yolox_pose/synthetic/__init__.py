"""Synthetic crowds with exact labels."""
