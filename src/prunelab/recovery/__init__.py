"""Training after surgery."""
