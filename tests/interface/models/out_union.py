from typing import Union


def run(flag: bool) -> Union[int, str]:
    return 1 if flag else "one"
