def run(text: str, count: int, part: float, flag: bool) -> str:
    return repr((text, count, part, flag))
