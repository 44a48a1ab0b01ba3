"""Halley's runner, one process per replica. Private: a model cannot collide with this name by chance."""
