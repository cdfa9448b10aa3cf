"""Data, conditions, metrics and previews of one modality per file."""
