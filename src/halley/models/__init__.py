"""What can run: models, their versions, and what a version accepts as input."""
