from typing import Annotated, List

from cog import Opaque


class Foreign:
    pass


def run() -> Annotated[List[Foreign], Opaque]:
    return [{"a": 1}]
