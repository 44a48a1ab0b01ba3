"""Files of predictions: inputs, stored outputs, and their delivery."""
