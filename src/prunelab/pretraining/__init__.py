"""Objectives that make the embedded models from nothing, one file per network."""
