"""The neighbour: works, whatever the others do."""


def run(text: str = "still here") -> str:
    return text.upper()
