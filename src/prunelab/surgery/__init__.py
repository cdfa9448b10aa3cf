"""Simulating the removal reversibly (gating) and performing it physically (slimming)."""
