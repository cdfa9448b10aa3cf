"""What can be pruned, arrays of a unit's shape, and the promises the other packages keep."""
