"""Data sets in, batches out."""
