def run(flag: bool = True) -> bool:
    return not flag
