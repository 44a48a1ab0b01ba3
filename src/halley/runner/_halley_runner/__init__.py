"""Halley's runner, one process per replica. The private name keeps it apart from a model's own modules."""
