"""The log of facts that the rooms read, and the hub that wakes waiting readers."""
