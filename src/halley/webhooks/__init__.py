"""Sends webhooks: chooses, limits, signs, delivers and retries messages."""
