"""How a training goes: steps, rates, and the average that is kept."""
