"""What one process at a time does for all: takes back lost work, applies the clocks, ends what can run nowhere."""
