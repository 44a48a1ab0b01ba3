from typing import Annotated, List

from cog import Opaque


class Foreign:
    pass


def run(one: Annotated[Foreign, Opaque], many: Annotated[List[Foreign], Opaque]) -> str:
    return repr((one, many))
