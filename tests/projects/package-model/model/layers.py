class Add:
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, value):
        return value + self.amount
