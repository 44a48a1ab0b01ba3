from typing import List, Union


def run(value: Union[int, str, List[str]], other: "float | bool" = 1.5) -> str:
    return repr((value, other))
