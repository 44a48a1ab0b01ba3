"""Hints between parts and processes."""
