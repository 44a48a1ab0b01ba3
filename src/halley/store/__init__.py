"""Stores predictions, queue, models, keys and files, with the data folder and its secrets."""
