"""Decides how long the data of finished predictions is kept, and removes it afterwards."""
