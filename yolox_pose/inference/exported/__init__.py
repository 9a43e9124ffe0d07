"""Exported models: description, backends and decoding, without torch."""
