"""The seeded generator of the built-in model's training text."""
