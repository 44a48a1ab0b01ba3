"""Runs predictions at a service that speaks the Replicate HTTP API: Replicate itself, CometAPI, another Halley."""
