"""Who looks at samples: networks that give features, and may name what they see."""
