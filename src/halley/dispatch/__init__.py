"""Claims predictions, submits them to a provider, and records their progress and end."""
