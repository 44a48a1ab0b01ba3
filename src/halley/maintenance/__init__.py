"""Work that one process at a time does for all: reaps lost work, applies time limits, ends what can run nowhere."""
