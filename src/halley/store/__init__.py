"""Facts: where predictions, queue, models, keys and files are recorded, and the folder and secrets they need."""
