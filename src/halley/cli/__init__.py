"""The `halley` command. Heavy imports stay inside the commands: `--help` answers in a fraction of a second."""
