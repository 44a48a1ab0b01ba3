from typing import Annotated, NewType

Seed = NewType("Seed", int)


def run(seed: Seed = 1, text: Annotated[str, "what to say"] = "a") -> str:
    return f"{seed} {text}"
