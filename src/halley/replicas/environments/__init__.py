"""Environments: one virtual environment for each set of requirements, built once, shared by the models that need it."""
