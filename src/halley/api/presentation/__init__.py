"""How predictions, models, files and errors look on the wire."""
