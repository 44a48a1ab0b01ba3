from .layers import Add


class Net:
    def __init__(self):
        self.layers = [Add(1), Add(0.5)]

    def __call__(self, x, y):
        value = x * y
        for layer in self.layers:
            value = layer(value)
        return value
