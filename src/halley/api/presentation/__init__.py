"""The wire forms of predictions, models, files and errors."""
