"""One module for each group of commands; importing them is cheap, running them is not."""
