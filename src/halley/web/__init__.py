"""Web pages. No scripts: their content comes from models and other users."""
