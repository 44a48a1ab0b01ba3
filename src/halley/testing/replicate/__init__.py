"""A service that speaks the Replicate HTTP API, on loopback, with the faults that such services have."""
