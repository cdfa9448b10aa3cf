"""How much goes, and who competes with whom."""
