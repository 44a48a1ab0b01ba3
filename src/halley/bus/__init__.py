"""Sends hints between the parts of one process, and between processes."""
