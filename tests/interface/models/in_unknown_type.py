class Strange:
    pass


def run(value: Strange = None, other: "Missing" = None) -> str:  # noqa: F821
    return repr((value, other))
