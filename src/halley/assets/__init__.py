"""Files that belong to predictions: what comes in, what is kept, and how it is handed out again."""
