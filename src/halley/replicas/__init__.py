"""Local model processes: read a model's folder, look inside it, start it, feed it, watch it and end it."""
