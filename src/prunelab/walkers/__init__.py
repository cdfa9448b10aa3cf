"""Units: what of a component can go, found by what its modules hold."""
