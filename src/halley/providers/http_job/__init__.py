"""A provider for any service with the pattern "submit, poll, fetch", described by a TOML file (a job file)."""
