"""What every row is measured on."""
