"""Pages for people. No scripts: what they show was written by models and strangers."""
