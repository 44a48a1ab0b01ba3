def run(value, other=1) -> str:
    return repr((value, other))
