"""What a model's samples are worth."""
