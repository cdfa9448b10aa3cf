"""Mechanisms that score elements, one per file, named by mechanism."""
