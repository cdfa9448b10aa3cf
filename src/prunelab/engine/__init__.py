"""The only importer of Lightning: training loops, observation loops, and the ranks they run on."""
