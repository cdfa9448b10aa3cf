"""Samples as people see them: a medium is a file here, or in a folder of one's own."""
