from typing import List


def run() -> List[str]:
    return ["alone"]
