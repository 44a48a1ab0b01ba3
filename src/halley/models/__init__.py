"""Models, their versions, and the input that a version accepts."""
