"""What a model costs: parameters, non-zeros, MACs, latency, memory and bytes on disk."""
