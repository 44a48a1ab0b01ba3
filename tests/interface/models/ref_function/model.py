def infer(text: str) -> str:
    return text
