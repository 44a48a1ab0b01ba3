from typing import Any


def run(text: str = "a") -> Any:
    return {"text": text, "rest": [1, None, True]}
