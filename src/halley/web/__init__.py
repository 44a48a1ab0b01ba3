"""Web pages. They contain no scripts, because their content comes from models and other users."""
