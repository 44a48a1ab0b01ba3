"""The log of facts that other packages read, and the hub that wakes waiting readers."""
