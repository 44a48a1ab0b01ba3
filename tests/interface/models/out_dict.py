from typing import Dict, List


def run() -> Dict[str, List[int]]:
    return {"a": [1], "b": []}
