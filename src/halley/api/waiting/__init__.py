"""Requests that wait: held reads, creates with `Prefer: wait`, event streams."""
