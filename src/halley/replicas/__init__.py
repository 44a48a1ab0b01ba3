"""Local model processes: read a model's folder, inspect the model, start it, send it work, watch it and end it."""
