def run(text: str = "bad thing") -> str:
    print("before")
    raise ValueError(text)
