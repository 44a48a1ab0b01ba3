def run(text: str, times: int = 2, loud: bool = False) -> str:
    return (text.upper() if loud else text) * times
