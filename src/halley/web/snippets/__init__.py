"""Code that makes one prediction, for each client and each way to get its result. Pure functions."""
