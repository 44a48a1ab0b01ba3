from typing import Optional

from cog import Secret


def run(key: Secret, other: Optional[Secret] = None) -> str:
    print(key, repr(key), other)
    return f"{len(key.get_secret_value())} {key}"
