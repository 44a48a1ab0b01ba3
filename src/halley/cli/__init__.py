"""The `halley` command. Heavy imports are inside the commands, so that `--help` answers quickly."""
