"""Environments: a Python of its own for each set of requirements, built once, shared by the models that ask for it."""
