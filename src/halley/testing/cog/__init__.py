"""A Cog HTTP server on loopback, of the newer and of the older line, with their faults."""
