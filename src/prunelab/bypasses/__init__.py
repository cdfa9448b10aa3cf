"""What comes in the place of removed operators."""
