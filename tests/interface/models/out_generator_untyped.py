def run():
    yield 1
    yield "two"
